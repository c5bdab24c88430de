//! Which alerts a silence concerns, in words.

use super::language::Language;
use crate::model::Concerns;

/// Which alerts a silence concerns: "job etl_*, severity error | warning".
pub fn concerns(concerns: &Concerns, language: Language) -> String {
    let Concerns { sources, jobs, rules, severities, labels } = concerns;
    let labels = labels.to_string();
    let parts = [
        ("concerns.source", sources.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ("concerns.job", jobs.clone()),
        ("concerns.rule", rules.iter().map(ToString::to_string).collect()),
        ("concerns.severity", severities.iter().map(|severity| language.word(severity.as_str())).collect()),
        ("concerns.label", Some(labels).filter(|text| !text.is_empty()).into_iter().collect()),
    ];
    let named = parts.iter().filter(|(_, values)| !values.is_empty());
    let said: Vec<String> = named.map(|(key, values)| language.say(key, &[("what", &values.join(" | "))])).collect();
    said.join(&language.say("comma", &[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelMatch, Severity};

    #[test]
    fn a_silence_says_what_it_concerns_as_the_command_line_does() {
        let all = Concerns {
            sources: vec!["warehouse".into()],
            jobs: vec!["etl_*".into(), "load".into()],
            rules: vec!["failed".into()],
            severities: vec![Severity::Error, Severity::Warning],
            labels: LabelMatch([("team".to_string(), vec!["finance".to_string()])].into()),
        };
        assert_eq!(concerns(&all, Language::En), all.to_string());
        let chinese = "数据源 warehouse，作业 etl_* | load，规则 failed，级别 错误 | 警告，标签 team=finance";
        assert_eq!(concerns(&all, Language::Zh), chinese);
        assert_eq!(concerns(&Concerns::default(), Language::Zh), "");
    }
}
