//! Foreign text made harmless for where it stands: it can neither mention, link nor format, and chooses no destination.
//!
//! Pure. Names are copied from messages and searched for, so a text is changed as little as its channel lets it. A mark that
//! can do nothing where it stands stays; of one that could do something the channel's own means take the meaning: a backslash,
//! an entity, or a code span around the word. A look-alike stands only where a channel knows nothing of the kind.

/// The three characters that mean something to Slack, written so that they do not.
pub fn slack_entities(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Foreign text inside Slack's mrkdwn. A word in which a mark could open a format stands in a code span; a mark behind a
/// letter, as job names have them, opens none and stays.
pub fn slack_text(text: &str) -> String {
    let write = |out: &mut String, text: &str| *out += &slack_code(text);
    let marked = |word: &Word<'_>| word.has(|at| "*_~".contains(word.at(at)) && !word.is_in_name(at));
    by_words(text, marked, write, |out, word| *out += &format!("`{}`", slack_code(word)))
}

/// Foreign text inside a code span of Slack's mrkdwn, where only a backtick could end the span.
pub(super) fn slack_code(text: &str) -> String {
    slack_entities(&text.replace('`', "ˋ"))
}

/// Foreign text in the Markdown of WeCom, which knows no escapes: a word that could format or link stands in a code span.
pub fn wecom_text(text: &str) -> String {
    let marked = |word: &Word<'_>| {
        let is_mark = |at: usize| match word.at(at) {
            '*' => true,
            '_' | '~' => !word.is_in_name(at),
            ']' => word.at(at + 1) == '(',
            _ => false,
        };
        word.has(is_mark) || holds_address(&format!("{}{}", word.text, word.at(word.to)))
    };
    let write = |out: &mut String, text: &str| *out += &markdown_code(text);
    let text = by_words(text, marked, write, |out, word| *out += &wecom_code(word));
    headless(&text)
}

/// Foreign text as a code span of WeCom.
pub fn wecom_code(text: &str) -> String {
    format!("`{}`", markdown_code(text))
}

/// Foreign text in the Markdown of DingTalk, which knows no code spans: a backslash stands before each mark that could format.
pub fn dingtalk_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let word = Word { text, chars: &chars, from: 0, to: chars.len() };
    let mut out = String::with_capacity(text.len() + 16);
    for (at, &c) in chars.iter().enumerate() {
        match c {
            '*' | '`' => out.extend(['\\', c]),
            '_' if !word.is_in_name(at) => out.extend(['\\', c]),
            // Of these nobody says whether a backslash helps.
            '~' if word.at(at + 1) == '~' || out.ends_with('∼') => out.push('∼'),
            ']' if word.at(at + 1) == '(' => out.push('］'),
            '\\' if !word.at(at + 1).is_alphanumeric() => out.push('＼'),
            _ => out.push(tag_free(&chars, at)),
        }
    }
    headless(&unlinked(&out))
}

/// Foreign text in the Markdown of Discord: a backslash before each mark, so that what people read and copy is the text itself.
/// Only what no backslash helps against is replaced by a look-alike: the beginnings of addresses and of mentions.
pub fn discord_text(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let in_word = |index: Option<usize>| index.and_then(|i| chars.get(i)).is_some_and(|c| c.is_alphanumeric());
    let mut out = String::with_capacity(text.len() + 16);
    for (index, &c) in chars.iter().enumerate() {
        match c {
            '_' if in_word(index.checked_sub(1)) && in_word(Some(index + 1)) => out.push('_'),
            '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '#' | '\\' => out.extend(['\\', c]),
            '@' => out.push('＠'),
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    unlinked(&out)
}

/// Foreign text inside a code span of Markdown. Some chats read tags and mentions even there.
pub(super) fn markdown_code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let safe = |at: usize| if chars[at] == '`' { 'ˋ' } else { tag_free(&chars, at) };
    (0..chars.len()).map(safe).collect()
}

/// Foreign text between Telegram's tags. The server itself makes links of what looks like an address, a mention, a hashtag or
/// a command, but not in a code span, in which such a word stands.
pub fn telegram_text(text: &str) -> String {
    let marked = |word: &Word<'_>| {
        let is_mark = |at: usize| match word.at(at) {
            '@' | '#' | '$' => true,
            '.' => word.at(at + 1).is_alphabetic() && word.at(at + 2).is_alphabetic(),
            // The beginning of a command; a path has letters before it.
            '/' => !word.is_in_name(at) && word.at(at + 1).is_alphanumeric(),
            _ => false,
        };
        word.has(is_mark) || word.text.contains("://")
    };
    let write = |out: &mut String, text: &str| *out += &handlebars::html_escape(text);
    by_words(text, marked, write, |out, word| *out += &telegram_code(word))
}

/// Foreign text as a code span of Telegram.
pub fn telegram_code(text: &str) -> String {
    format!("<code>{}</code>", handlebars::html_escape(text))
}

/// A character of a Markdown text where it can be a part of no tag, no entity and no mention.
fn tag_free(chars: &[char], at: usize) -> char {
    let next = chars.get(at + 1).copied().unwrap_or('a');
    let is_behind_letter = at.checked_sub(1).is_some_and(|before| chars[before].is_alphanumeric());
    match chars[at] {
        // No tag begins so: "a < b", "<= 5".
        '<' if !next.is_whitespace() && !next.is_ascii_digit() && next != '=' => '＜',
        '&' if next == '#' || next.is_alphanumeric() => '＆',
        '@' if !is_behind_letter => '＠',
        '\n' => ' ',
        other => other,
    }
}

/// `text` without the mark at its beginning that makes a heading or a quotation where a line begins with it.
fn headless(text: &str) -> String {
    let rest = text.trim_start_matches(['#', '>', ' ']);
    let head = &text[..text.len() - rest.len()];
    format!("{}{rest}", head.replace('#', "＃").replace('>', "＞"))
}

/// `text` without what chats make a link of by themselves.
fn unlinked(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let before = &lower[..at];
        let is_scheme = SCHEMES.iter().any(|it| before.ends_with(it));
        match c {
            ':' if is_scheme => out.push('：'),
            '.' if before.ends_with("www") => out.push('․'),
            other => out.push(other),
        }
    }
    out
}

/// Of what chats make links.
const SCHEMES: [&str; 5] = ["http", "https", "ftp", "mailto", "javascript"];

fn holds_address(word: &str) -> bool {
    unlinked(word) != word
}

/// A word of a text, without the punctuation around it.
struct Word<'a> {
    text: &'a str,
    /// The whole text, and where in it the word stands.
    chars: &'a [char],
    from: usize,
    to: usize,
}

impl Word<'_> {
    /// The character at a place of the whole text; a blank where that has none.
    fn at(&self, at: usize) -> char {
        self.chars.get(at).copied().unwrap_or(' ')
    }

    /// Whether a letter or a digit stands before that place, so that what stands there opens nothing.
    fn is_in_name(&self, at: usize) -> bool {
        at.checked_sub(1).is_some_and(|before| self.at(before).is_alphanumeric())
    }

    /// Whether that is so of any of its places.
    fn has(&self, is_so: impl Fn(usize) -> bool) -> bool {
        (self.from..self.to).any(is_so)
    }
}

/// Writes a text word by word: those that are marked in one way, and all that is between them in the other.
fn by_words(
    text: &str,
    is_marked: impl Fn(&Word<'_>) -> bool,
    write: impl Fn(&mut String, &str),
    write_marked: impl Fn(&mut String, &str),
) -> String {
    // What parts words: blanks, and the punctuation of Chinese sentences, beside which names stand without one.
    let parts = |c: char| c.is_whitespace() || "，。；：、（）【】「」“”！？·…".contains(c);
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len() + 16);
    let (mut at, mut plain) = (0, String::new());
    while at < chars.len() {
        let end = chars[at..].iter().position(|c| parts(*c)).map_or(chars.len(), |length| at + length);
        let before = chars[at..end].iter().take_while(|c| "(\"'".contains(**c)).count();
        let behind = chars[at + before..end].iter().rev().take_while(|c| ",.;:!?)\"'".contains(**c)).count();
        let (from, to) = (at + before, end - behind);
        let word: String = chars[from..to].iter().collect();
        plain.extend(&chars[at..from]);
        if is_marked(&Word { text: &word, chars: &chars, from, to }) {
            write(&mut out, &std::mem::take(&mut plain));
            write_marked(&mut out, &word);
        } else {
            plain += &word;
        }
        at = (end + 1).min(chars.len());
        plain.extend(&chars[to..at]);
    }
    write(&mut out, &plain);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What people read must be what they can copy and search for, in every channel.
    #[test]
    fn names_stay_as_they_are() {
        for name in
            ["etl_orders_daily", "load_orders_[x]", "load_orders_(2)", "a-b_#3", "订单_日", "x|y", "C:\\jobs\\x"]
        {
            for (escaped, kind) in
                [(slack_text(name), "slack"), (wecom_text(name), "wecom"), (dingtalk_text(name), "dingtalk")]
            {
                assert_eq!(escaped, name, "{kind}");
            }
        }
        for name in ["etl_orders_daily", "load_orders_[x]", "*", "_tmp", "a/b", "x|y"] {
            assert_eq!(telegram_text(name), name);
        }
        let path = "obs://dlf-log/a_b/2026-11-21 08_00_00.000/x.job";
        assert_eq!((wecom_text(path), dingtalk_text(path)), (path.to_string(), path.to_string()));
    }

    #[test]
    fn a_mark_that_could_mean_something_means_nothing() {
        let table: [(&str, [&str; 4]); 8] = [
            (
                "3 load_* jobs, (_tmp)",
                [
                    "3 `load_*` jobs, (`_tmp`)",
                    "3 `load_*` jobs, (`_tmp`)",
                    "3 load_\\* jobs, (\\_tmp)",
                    "3 load_* jobs, (_tmp)",
                ],
            ),
            (
                "3 个 load_* 作业",
                ["3 个 `load_*` 作业", "3 个 `load_*` 作业", "3 个 load_\\* 作业", "3 个 load_* 作业"],
            ),
            ("a*b ~x~", ["a*b `~x~`", "`a*b` `~x~`", "a\\*b ~x~", "a*b ~x~"]),
            ("`c` a < b", ["ˋcˋ a &lt; b", "ˋcˋ a < b", "\\`c\\` a < b", "&#x60;c&#x60; a &lt; b"]),
            (
                "[ok](https://evil.example)",
                [
                    "[ok](https://evil.example)",
                    "`[ok](https://evil.example`)",
                    "[ok］(https：//evil.example)",
                    "<code>[ok](https://evil.example</code>)",
                ],
            ),
            (
                "<@all> @all a@b & &lt;",
                [
                    "&lt;@all&gt; @all a@b &amp; &amp;lt;",
                    "＜＠all> ＠all a@b & ＆lt;",
                    "＜＠all> ＠all a@b & ＆lt;",
                    "<code>&lt;@all&gt;</code> <code>@all</code> <code>a@b</code> &amp; &amp;lt;",
                ],
            ),
            ("# x", ["# x", "＃ x", "＃ x", "<code>#</code> x"]),
            (
                "ods.orders of self/x (/start).",
                [
                    "ods.orders of self/x (/start).",
                    "ods.orders of self/x (/start).",
                    "ods.orders of self/x (/start).",
                    "<code>ods.orders</code> of self/x (<code>/start</code>).",
                ],
            ),
        ];
        for (text, [slack, wecom, dingtalk, telegram]) in table {
            assert_eq!(slack_text(text), slack, "slack");
            assert_eq!(wecom_text(text), wecom, "wecom");
            assert_eq!(dingtalk_text(text), dingtalk, "dingtalk");
            assert_eq!(telegram_text(text), telegram, "telegram");
        }
        assert_eq!(markdown_code("a*b_ `x` <at id=all>"), "a*b_ ˋxˋ ＜at id=all>");
        assert_eq!(slack_text("<!channel> &lt;!here&gt;"), "&lt;!channel&gt; &amp;lt;!here&amp;gt;");
    }

    #[test]
    fn discord_shows_marks_as_they_are() {
        let table = [
            ("etl_orders_daily", "etl_orders_daily"),
            ("3 load_* jobs", "3 load\\_\\* jobs"),
            ("[ok](https://evil.example) <@42> @all", "\\[ok\\](https：//evil.example) \\<＠42\\> ＠all"),
            ("`x` \\ # > ~~y~~ ||z||", "\\`x\\` \\\\ \\# \\> \\~\\~y\\~\\~ \\|\\|z\\|\\|"),
        ];
        for (text, expected) in table {
            assert_eq!(discord_text(text), expected, "{text}");
        }
    }

    /// The text without its code spans.
    fn outside_code(text: &str) -> String {
        assert_eq!(text.matches('`').count() % 2, 0, "{text}");
        text.split('`').step_by(2).collect::<Vec<_>>().join("\u{1}")
    }

    /// What stands behind backslashes, taken out.
    fn without_escapes(text: &str) -> String {
        let (mut out, mut chars) = (String::new(), text.chars());
        while let Some(c) = chars.next() {
            match c {
                '\\' => drop(chars.next()),
                other => out.push(other),
            }
        }
        out
    }

    fn is_unlinked(text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        !lower.contains("http:") && !lower.contains("https:") && !lower.contains("www.")
    }

    proptest! {
        #[test]
        fn wecom_text_holds_no_mark_outside_code(text in MARKED) {
            let out = wecom_text(&text);
            prop_assert!(!out.contains("<@") && !out.contains("<f") && !out.contains("</"), "{}", out);
            let out = outside_code(&out);
            prop_assert!(!out.contains('*') && !out.contains("](") && is_unlinked(&out), "{}", out);
        }

        #[test]
        fn dingtalk_text_holds_no_mark_without_a_backslash(text in MARKED) {
            let out = without_escapes(&dingtalk_text(&text));
            prop_assert!(!out.contains(['*', '`']) && !out.contains("](") && !out.contains("~~"), "{}", out);
            prop_assert!(!out.contains("<f") && !out.contains("</") && is_unlinked(&out), "{}", out);
        }

        #[test]
        fn discord_text_never_holds_a_mark_that_means_something(text in "\\PC*") {
            let out = discord_text(&text);
            prop_assert!(!without_escapes(&out).contains(['<', '>', '`', '*', '[', ']', '@', '#', '~', '|']), "{}", out);
            prop_assert!(is_unlinked(&out), "{}", out);
        }

        #[test]
        fn slack_text_never_holds_a_control_character(text in MARKED) {
            let out = slack_text(&text);
            prop_assert!(!out.contains(['<', '>']), "{}", out);
            let entities = ["&amp;", "&lt;", "&gt;"];
            prop_assert!(out.match_indices('&').all(|(at, _)| entities.iter().any(|it| out[at..].starts_with(it))));
            // A mark that could open a format has a letter before it.
            let out: Vec<char> = outside_code(&out).chars().collect();
            let opens = |at: &usize| "*_~".contains(out[*at]) && !(*at > 0 && out[*at - 1].is_alphanumeric());
            prop_assert!((0..out.len()).find(opens).is_none(), "{:?}", out);
        }

        #[test]
        fn telegram_text_holds_no_link_outside_code(text in MARKED) {
            let out = telegram_text(&text);
            let outside: String = out.split("<code>").map(|part| part.split("</code>").last().unwrap_or("")).collect();
            let plain = outside.replace("&#x", "");
            prop_assert!(!plain.contains(['@', '#', '$', '<', '>']) && !plain.contains("://"), "{}", out);
        }
    }

    /// Texts of which every third character is a mark.
    const MARKED: &str = "([*_~`<>@#&\\[\\]()!|\\\\/.:$]|[a-z ]|\\PC|http://|www\\.|\\]\\(){0,40}";
}
