//! One phrase of a catalog: a text with places for values.
//!
//! | in a phrase | says |
//! |---|---|
//! | `{name}` | the value |
//! | `{n:time\|times}` | the first word when the value is 1, otherwise the last; of three, the second when it is 2 |
//! | `{n:once\|# times}` | the value in the place of the `#` |
//! | `[ after {lasted}]` | what is inside, unless a value in it is missing or empty |

/// A text with places for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phrase {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
    Plural { name: String, forms: Vec<String> },
    Optional(Vec<Piece>),
}

impl Phrase {
    /// Reads a phrase as a catalog writes it.
    ///
    /// # Errors
    /// When a bracket or brace is not closed, or stands inside another.
    pub fn parse(text: &str) -> Result<Phrase, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['[', ']']) {
            pieces.extend(values(&rest[..at])?);
            let inside = rest[at..].strip_prefix('[').ok_or_else(|| format!("a ] without its [ in {text:?}"))?;
            let end = inside.find(']').ok_or_else(|| format!("a [ without its ] in {text:?}"))?;
            if inside[..end].contains('[') {
                return Err(format!("a [ inside a [ in {text:?}"));
            }
            pieces.push(Piece::Optional(values(&inside[..end])?));
            rest = &inside[end + 1..];
        }
        pieces.extend(values(rest)?);
        Ok(Phrase { pieces })
    }

    /// The text, with each value that `value` knows put in its place. An empty value counts as none.
    pub fn fill(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        self.pieces.iter().map(|piece| piece.filled(value).unwrap_or_default()).collect()
    }

    /// The values with which this phrase says `text`, by name; none where it does not say it, and of a phrase that has more in it
    /// than text and values. Each value is as short as it can be.
    pub(super) fn read<'a>(&'a self, text: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let (mut values, mut rest, mut open) = (Vec::new(), text, None);
        for piece in &self.pieces {
            match piece {
                Piece::Text(said) => {
                    let (value, after) = rest.split_once(said.as_str())?;
                    match open.take() {
                        Some(name) if !value.is_empty() => values.push((name, value)),
                        None if value.is_empty() => {}
                        _ => return None,
                    }
                    rest = after;
                }
                Piece::Value(name) if open.is_none() => open = Some(name.as_str()),
                _ => return None,
            }
        }
        if let Some(name) = open {
            values.push((name, std::mem::take(&mut rest)));
        }
        (rest.is_empty() && values.iter().all(|(_, value)| !value.is_empty())).then_some(values)
    }

    /// The names of the values it takes, and of those the ones that it cannot do without.
    pub fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut all, mut needed) = (Vec::new(), Vec::new());
        for piece in &self.pieces {
            match piece {
                Piece::Text(_) => {}
                Piece::Value(name) | Piece::Plural { name, .. } => {
                    needed.push(name.as_str());
                    all.push(name.as_str());
                }
                Piece::Optional(inside) => all.extend(inside.iter().filter_map(Piece::name)),
            }
        }
        for names in [&mut all, &mut needed] {
            names.sort_unstable();
            names.dedup();
        }
        (all, needed)
    }
}

impl Piece {
    fn name(&self) -> Option<&str> {
        match self {
            Piece::Value(name) | Piece::Plural { name, .. } => Some(name),
            Piece::Text(_) | Piece::Optional(_) => None,
        }
    }

    fn filled(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let known = |name: &str| value(name).filter(|value| !value.is_empty());
        match self {
            Piece::Text(text) => Some(text.clone()),
            Piece::Value(name) => known(name),
            Piece::Plural { name, forms } => known(name).and_then(|n| {
                let form = match n.as_str() {
                    "1" => forms.first(),
                    "2" if forms.len() > 2 => forms.get(1),
                    _ => forms.last(),
                };
                form.map(|form| form.replace('#', &n))
            }),
            Piece::Optional(inside) => inside.iter().map(|piece| piece.filled(value)).collect(),
        }
    }
}

/// The pieces of a text without brackets.
fn values(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(rest[..at].to_string()));
        }
        let inside = rest[at..].strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (inside, after) = inside.ok_or_else(|| format!("a brace without its other in {text:?}"))?;
        pieces.push(match inside.split_once(':') {
            None => Piece::Value(inside.to_string()),
            Some((name, forms)) => {
                let forms: Vec<String> = forms.split('|').map(str::to_string).collect();
                if !(2..=3).contains(&forms.len()) {
                    return Err(format!("{forms:?} are not two or three forms"));
                }
                Piece::Plural { name: name.to_string(), forms }
            }
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_string()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, values: &[(&str, &str)]) -> String {
        let value = |name: &str| values.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_string());
        Phrase::parse(text).unwrap().fill(&value)
    }

    #[test]
    fn values_plurals_and_what_can_be_missing() {
        let text = "{job} failed[ after {lasted}][, tried {n} {n:time|times}]";
        assert_eq!(said(text, &[("job", "etl"), ("lasted", "1m")]), "etl failed after 1m");
        assert_eq!(said(text, &[("job", "etl"), ("n", "1")]), "etl failed, tried 1 time");
        assert_eq!(said(text, &[("job", "etl"), ("n", "2"), ("lasted", "")]), "etl failed, tried 2 times");
        assert_eq!(Phrase::parse(text).unwrap().names(), (vec!["job", "lasted", "n"], vec!["job"]));
        for (n, expected) in [("1", "once"), ("2", "twice"), ("3", "3 times")] {
            assert_eq!(said("{n:once|twice|# times}", &[("n", n)]), expected);
        }
    }

    /// A job may be named as a phrase is written.
    #[test]
    fn values_are_not_read_again() {
        assert_eq!(said("{job} failed", &[("job", "[{job}]")]), "[{job}] failed");
    }

    #[test]
    fn a_sentence_is_read_by_its_phrase() {
        let read = |text: &str, said: &str| {
            let phrase = Phrase::parse(text).unwrap();
            phrase
                .read(said)
                .map(|values| values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>())
        };
        assert_eq!(read("{n} of {all} jobs", "3 of 5 jobs"), Some(vec!["n=3".to_string(), "all=5".to_string()]));
        assert_eq!(read("no {what}", "no jobs of 5"), Some(vec!["what=jobs of 5".to_string()]));
        assert_eq!(read("it hangs", "it hangs"), Some(Vec::new()));
        for (text, said) in [
            ("{n} of {all} jobs", "3 of 5 jobs now"),
            ("{n} of {all} jobs", " of 5 jobs"),
            ("no {what}", "no "),
            ("no {what}", "oh no it"),
            ("it hangs", "it hangs here"),
            ("{n:time|times} up", "times up"),
        ] {
            assert_eq!(read(text, said), None, "{said}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for text in ["{job", "job}", "[job", "job]", "[a[b]]", "{n:one}", "[{n]}"] {
            assert!(Phrase::parse(text).is_err(), "{text}");
        }
    }
}
