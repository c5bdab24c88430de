//! Which line of a failure text says what went wrong, and what is kept of a text that is too long for its place.
//!
//! A failure text is what a scheduler says of a failure, and often the last lines of a log, the oldest first: twenty lines of
//! progress and then the error, and behind the error sometimes a remark that the program ends. People need that one line
//! first, and alerts with one cause share it. Pure: it reads text, and must never know which scheduler or channel it is of.

use std::sync::LazyLock;

use regex::Regex;

/// What a line says that names an error: a level of a log, or the class of an exception.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?x) \b(?:ERROR|FATAL|SEVERE|CRITICAL|PANIC)\b | \b(?:\w+\.)*\w*(?:Error|Exception)\b
        | (?i:\b(?:error|fatal|panic|exception)\s*[:：]) | (?i:^\s*(?:error|fatal|panic)\b) | \bORA-\d | (?:错误|异常)\s*[:：]",
    )
});
/// What a line says that may be one.
static HINTED: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?xi) error | exception | fatal | fail(?:ed|ure|s)\b | panic | refused | denied | rejected | aborted | killed
        | timed?[\ -]?out | no\ space\ left | out\ of\ memory | segmentation\ fault | not\ found | does\ not\ exist
        | no\ such | cannot | could\ not | unable\ to | violat | unreachable
        | 错误 | 异常 | 失败 | 拒绝 | 超时 | 不存在",
    )
});
/// What only says that the program ends, or how.
static CLOSING: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)exit(?:ed|s|ing)?\b.{0,20}\b(?:code|status)\b|return code|marking (?:the )?(?:task|run|job) as|返回码|退出码",
    )
});
/// What counts no error, and the frames of a trace.
static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?xi) \b(?:no|0|without(?:\ any)?)\ (?:errors?|exceptions?|failures?|failed)\b
        | \b(?:errors?|exceptions?|failures?|failed)\s*[=:：]\s*0\b | ^\s*at\ \S+\( | ^\s*\.\.\.\ \d+\ more | ^\s*File\ ""#,
    )
});
/// The levels of lines that are no error, whatever they speak of.
static CALM: LazyLock<Regex> = LazyLock::new(|| compiled(r"\b(?:INFO|DEBUG|TRACE)\b"));
/// The instant at the beginning of a line of a log.
static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    compiled(r"^\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|\s?[+-]\d\d:?\d\d)?\]?[\s:|-]*")
});

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant and a test compiles it")
}

/// The line of a failure text that says what went wrong, without the instant before it: the last one that names an error; of
/// a text that names none, the last one that may be one, and otherwise its last line.
pub fn failure_line(text: &str) -> Option<&str> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let line = lines.get(place_of_error(&lines)?)?.trim();
    let said = INSTANT.find(line).map_or(line, |instant| &line[instant.end()..]);
    Some(if said.is_empty() { line } else { said })
}

/// Which of the lines says what went wrong; none of no lines.
fn place_of_error(lines: &[&str]) -> Option<usize> {
    if lines.len() < 2 {
        return lines.len().checked_sub(1);
    }
    let rank = |line: &str| match line {
        line if line.trim().is_empty() || HARMLESS.is_match(line) => 0,
        line if CLOSING.is_match(line) => 1,
        line if NAMED.is_match(line) && !CALM.is_match(line) => 4,
        line if HINTED.is_match(line) && !CALM.is_match(line) => 3,
        line if HINTED.is_match(line) => 2,
        _ => 0,
    };
    // Of equals the last one counts.
    lines.iter().enumerate().max_by_key(|(_, line)| rank(line)).map(|(place, _)| place)
}

/// `text` in at most `max` of what `width` counts. Of several lines those are kept that stand around the one that says what
/// went wrong, and `…` stands for the others; a single line loses its end.
pub fn shortened(text: &str, max: usize, width: impl Fn(char) -> usize) -> String {
    let wide = |text: &str| text.chars().map(&width).sum::<usize>();
    if wide(text) <= max {
        return text.to_string();
    }
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = place_of_error(&lines).filter(|_| lines.len() > 1) else { return cut(text, max, width) };
    let (mark, line_break) = (width('…') + width('\n'), width('\n'));
    let mut room = max.saturating_sub(2 * mark);
    let error = lines[at].trim_end();
    if wide(error) > room {
        return cut(error.trim_start(), max, width);
    }
    room -= wide(error);
    let mut takes = |line: &str| {
        let left = room.checked_sub(wide(line) + line_break);
        room = left.unwrap_or(room);
        left.is_some()
    };
    // What follows an error belongs to it; what went before it is shown where there is room for that, too.
    let after = lines[at + 1..].iter().take_while(|line| takes(line)).count();
    let is_whole = at + 1 + after == lines.len();
    let before = lines[..at].iter().rev().take_while(|line| is_whole && takes(line)).count();
    let first = (before < at).then_some("…");
    let last = (!is_whole).then_some("…");
    let kept = lines[at - before..at].iter().copied().chain([error]).chain(lines[at + 1..=at + after].iter().copied());
    first.into_iter().chain(kept).chain(last).collect::<Vec<_>>().join("\n")
}

/// The beginning of `text`, and `…` for the rest.
pub fn cut(text: &str, max: usize, width: impl Fn(char) -> usize) -> String {
    if text.chars().map(&width).sum::<usize>() <= max {
        return text.to_string();
    }
    let room = max.saturating_sub(1);
    let mut used = 0;
    let mut kept: String = text
        .chars()
        .take_while(|&c| {
            used += width(c);
            used <= room
        })
        .collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_what_went_wrong_is_found_in_the_logs_of_many_programs() {
        let table = [
            ("connection refused", "connection refused"),
            (" \n", ""),
            (
                "INFO load 1\nERROR: relation \"ods.orders\" does not exist",
                "ERROR: relation \"ods.orders\" does not exist",
            ),
            (
                "line 8999\nERROR: connection to dws-prod refused\nINFO closing the pool\nProcess exited with code 1",
                "ERROR: connection to dws-prod refused",
            ),
            (
                "2026-11-21 08:00:00,123 INFO rows 5\n2026-11-21 08:00:01,456 ERROR load.py:12 disk is full\n",
                "ERROR load.py:12 disk is full",
            ),
            (
                "java.lang.IllegalStateException: rows is null\n\tat com.x.ErrorHandler.handle(E.java:1)\n\t... 12 more",
                "java.lang.IllegalStateException: rows is null",
            ),
            (
                "java.lang.RuntimeException: load\n\tat a.B.c(B.java:1)\nCaused by: java.net.ConnectException: refused\n\tat x.Y(Y:1)",
                "Caused by: java.net.ConnectException: refused",
            ),
            (
                "Traceback (most recent call last):\n  File \"/opt/error.py\", line 3, in main\n    load()\nValueError: bad row 7",
                "ValueError: bad row 7",
            ),
            ("loading 5 rows\nTask failed with exception\nValueError: bad row 7", "ValueError: bad row 7"),
            ("ValueError: bad row 7\nMarking task as FAILED. dag_id=a, task_id=b", "ValueError: bad row 7"),
            ("exit code 137\nreading\nreading more", "exit code 137"),
            ("loaded 5 rows, 0 errors\nfailed: 0\nKilled", "Killed"),
            ("connection refused by 10.0.0.7\nINFO 3 rows rejected, closing", "connection refused by 10.0.0.7"),
            ("导入 5 行\n执行失败：字段 dt 为空\n任务结束，返回码 1", "执行失败：字段 dt 为空"),
            ("reading\nwriting", "writing"),
            (
                "INFO the ERROR table is read\nconnection refused by 10.0.0.7\nINFO done",
                "connection refused by 10.0.0.7",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(failure_line(text).unwrap_or_default(), expected, "{text}");
        }
    }

    #[test]
    fn of_a_long_text_the_error_is_kept_and_what_stands_around_it() {
        let log: Vec<String> = (0..20).map(|line| format!("INFO line {line} of the load")).collect();
        let text = format!("{}\nERROR: connection refused", log.join("\n"));
        let of = |text: &str, max: usize| shortened(text, max, |_| 1);
        assert_eq!(of(&text, 90), "…\nINFO line 18 of the load\nINFO line 19 of the load\nERROR: connection refused");
        assert_eq!(of(&text, 40), "…\nERROR: connection refused");
        assert_eq!(of(&text, 20), "ERROR: connection r…");
        assert_eq!(of(&text, 10_000), text);
        let trace = format!("java.lang.Error: rows\n{}", "\tat com.x.Y.z(Y.java:1)\n".repeat(40));
        assert_eq!(of(&trace, 60), "java.lang.Error: rows\n\tat com.x.Y.z(Y.java:1)\n…");
        assert_eq!(of("one long line", 6), "one l…");
        for max in 1..200 {
            for text in [&text, &trace] {
                let kept = of(text, max);
                assert!(kept.chars().count() <= max, "{max}: {kept}");
            }
        }
    }
}
