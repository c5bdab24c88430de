//! The line of a failure text that says why, and as much of the text around it as there is room for.
//!
//! A failure text is a scheduler's own words, and often the end of a log: then the reason stands near its end, behind lines that
//! say how far the job had come. Pure; it knows no scheduler and no channel, only how programs write their errors.

use std::sync::LazyLock;

use regex::Regex;

/// How programs mark a line that says why they fail.
static MARKED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"(?i)\b(?:error|fatal|panic|panicked|exception|critical|caused by)\b|\B(?-i:Error|Exception)\b|错误|异常")
});
/// Words that such a line has where it is not marked.
static WORDED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)\b(?:fail(?:ed|ure)|denied|refused|rejected|timed out|timeout|cannot|unable|killed|aborted|not found|does not exist)\b|失败|拒绝|超时|不存在",
    )
});
/// What only follows: that a program ended, and where in its code it was.
static FOLLOWS: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?i)\b(?:exit(?:ed)?|return(?:ed)?) (?:with )?(?:a |the )?(?:non-zero )?(?:return )?(?:code|status)|^at\s|^file "|^\.\.\. \d+"#,
    )
});

/// Lines from which on a text is a log, whose end says more than its beginning.
const LOG_LINES_MIN: usize = 4;

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant and a test compiles it")
}

/// The line of a failure text that says why, without the blanks around it: the last one that is marked as an error; without one,
/// the last that has a word for it; else the first of a few lines, or the last of many. None of a text without a line.
pub fn telling_line(text: &str) -> Option<&str> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let place = place(&lines)?;
    Some(lines[place])
}

/// Which of these lines says why.
fn place(lines: &[&str]) -> Option<usize> {
    let last = |is_it: &Regex| lines.iter().rposition(|line| is_it.is_match(line) && !FOLLOWS.is_match(line));
    let usual = if lines.len() < LOG_LINES_MIN { 0 } else { lines.len() - 1 };
    last(&MARKED).or_else(|| last(&WORDED)).or((!lines.is_empty()).then_some(usual))
}

/// A failure text of at most `room`, as `width` measures it: whole where it fits; else the line that says why with what follows
/// it and then with what stands before it, whole lines as far as there is room, and `…` where something was left out.
pub fn excerpt(text: &str, room: usize, width: impl Fn(&str) -> usize) -> String {
    if width(text) <= room {
        return text.to_string();
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let bare: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    let Some(place) = place(&bare) else { return String::new() };
    let (mut from, mut to) = (place, place + 1);
    // Two marks of what is left out, each in a line of its own.
    let mark = width("…\n");
    let mut used = width(lines[place]) + 2 * mark;
    while let Some(line) = lines.get(to).filter(|line| used + width(line) + width("\n") <= room) {
        used += width(line) + width("\n");
        to += 1;
    }
    while let Some(line) =
        from.checked_sub(1).map(|before| lines[before]).filter(|line| used + width(line) + width("\n") <= room)
    {
        used += width(line) + width("\n");
        from -= 1;
    }
    let before = (from > 0 && used <= room).then_some("…");
    let after = (to < lines.len() && used <= room).then_some("…");
    before.into_iter().chain(lines[from..to].iter().copied()).chain(after).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_why_is_found_in_what_programs_write() {
        let table = [
            (
                "ERROR: relation \"ods.orders\" does not exist\n  at line 12 of load_orders.sql",
                "ERROR: relation \"ods.orders\" does not exist",
            ),
            ("connection to dws-prod refused after 3 s\nat line 1", "connection to dws-prod refused after 3 s"),
            ("line 8997\nline 8998\nline 8999\nERROR: disk is full", "ERROR: disk is full"),
            (
                "start\nERROR main: load failed\njava.lang.RuntimeException: load failed\n\tat com.x.Error.run(Error.java:3)\nCaused by: java.sql.SQLException: refused\n\tat com.x.Y\n\t... 12 more",
                "Caused by: java.sql.SQLException: refused",
            ),
            (
                "Traceback (most recent call last):\n  File \"/x/error.py\", line 3, in <module>\nValueError: 7 is too much",
                "ValueError: 7 is too much",
            ),
            ("reading\nwriting\nERROR: no space left\nCommand exited with return code 1", "ERROR: no space left"),
            ("ERROR: Job exited with code 1", "ERROR: Job exited with code 1"),
            ("loaded 0 errors, error_rate=0\nthe table is locked", "loaded 0 errors, error_rate=0"),
            ("one\ntwo\nthree\nfour", "four"),
            ("\n  out of memory  \n", "out of memory"),
            ("开始\n读取失败：表不存在\n结束\n退出", "读取失败：表不存在"),
        ];
        for (text, line) in table {
            assert_eq!(telling_line(text), Some(line), "{text}");
        }
        assert_eq!(telling_line(" \n"), None);
    }

    #[test]
    fn an_excerpt_keeps_the_line_that_says_why() {
        let count = |text: &str| text.chars().count();
        let log: String =
            (0..40).map(|n| format!("line {n} of the load\n")).collect::<String>() + "ERROR: disk is full";
        let cut = excerpt(&log, 100, count);
        assert!(cut.starts_with("…\nline ") && cut.ends_with("line 39 of the load\nERROR: disk is full"), "{cut}");
        assert!(count(&cut) <= 100 && count(&cut) > 70, "{cut}");
        let first = format!("ERROR: disk is full\n{}", "and so on\n".repeat(40));
        assert!(excerpt(&first, 60, count).starts_with("ERROR: disk is full\nand so on\n"));
        assert_eq!(excerpt("short", 5, count), "short");
        // A line that is too long by itself is for whoever asked to cut.
        assert_eq!(
            excerpt(&format!("begin\nERROR {}", "x".repeat(50)), 20, count),
            format!("ERROR {}", "x".repeat(50))
        );
    }
}
