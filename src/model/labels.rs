//! Labels: what people call rules and sources by beside their names, such as the team that they belong to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Texts by name, such as `team: finance`.
pub type Labels = BTreeMap<String, String>;

/// The labels of an alert: those of its source and of its rule, whose word goes first.
pub fn joined(source: &Labels, rule: &Labels) -> Labels {
    source.iter().chain(rule).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Which labels are wanted: alternatives under each name, all names together. Empty, it wants none in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelMatch(pub BTreeMap<String, Vec<String>>);

impl LabelMatch {
    /// Whether nothing in particular is wanted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it can be that all are there, where others may come to these labels.
    pub fn may_hold(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(name, values)| labels.get(name).is_none_or(|value| values.contains(value)))
    }

    /// Whether these labels are what is wanted.
    pub fn holds(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(name, values)| labels.get(name).is_some_and(|value| values.contains(value)))
    }
}

/// As options of a command are written: `team=finance`.
impl fmt::Display for LabelMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")));
        f.write_str(&pairs.collect::<Vec<_>>().join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect()
    }

    #[test]
    fn the_word_of_the_rule_goes_first() {
        let source = labels(&[("team", "platform"), ("tier", "1")]);
        let rule = labels(&[("team", "finance")]);
        assert_eq!(joined(&source, &rule), labels(&[("team", "finance"), ("tier", "1")]));
    }

    #[test]
    fn all_names_must_be_there_and_one_value_of_each() {
        let wanted = |pairs: &[(&str, &[&str])]| {
            let list = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
            LabelMatch(pairs.iter().map(|(name, values)| ((*name).to_string(), list(values))).collect())
        };
        let has = labels(&[("team", "finance"), ("tier", "1")]);
        assert!(wanted(&[]).holds(&has) && wanted(&[]).holds(&Labels::new()));
        assert!(wanted(&[("team", &["hr", "finance"])]).holds(&has));
        assert!(wanted(&[("team", &["finance"]), ("tier", &["1", "2"])]).holds(&has));
        assert!(!wanted(&[("team", &["finance"]), ("tier", &["2"])]).holds(&has));
        assert!(!wanted(&[("owner", &["finance"])]).holds(&has));
        assert!(!wanted(&[("team", &["Finance"])]).holds(&has), "a value is a text, and no pattern");
    }
}
