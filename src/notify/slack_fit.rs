//! Slack's limits: long lists are put into as many sections as they want, and what is still too large is refused or cut.
//!
//! Pure. A message about several alerts is never cut: a list that does not fit is refused, and the caller tells of fewer.

use serde_json::{Value, json};

use crate::template::truncated;
use crate::words::Language;

/// Longest text of one section, in characters.
const SECTION_MAX: usize = 3000;
/// Longest text of a header.
const HEADER_MAX: usize = 150;
/// Most blocks of a message.
const BLOCKS_MAX: usize = 50;
/// Most that the blocks may take, in characters of JSON: Slack refuses messages whose blocks come near 13,200.
const SIZE_MAX: usize = 12_000;

/// The message's body, each section that is too long made several, between its lines.
///
/// # Errors
/// When a single line or the message as a whole is too large.
pub(super) fn whole(rendered: &str) -> Result<Value, String> {
    let mut body = parsed(rendered)?;
    for_each_list(&mut body, &mut |blocks| divide(blocks, None))?;
    let (count, size) = measured(&mut body);
    if count > BLOCKS_MAX {
        return Err(format!("the message has {count} blocks, and the channel takes {BLOCKS_MAX}"));
    }
    if size > SIZE_MAX {
        return Err(format!("the message's blocks have {size} characters, and the channel takes {SIZE_MAX}"));
    }
    Ok(body)
}

/// The same, cut where that is not enough: lines that are too long lose their ends, and whole blocks go, the ones before
/// the last of the attachment, so that the head, the first log path and the last line stay, and the block with `mark` in its
/// text, by which one acts on the alert. How many went is said.
///
/// # Errors
/// When it is no message.
pub(super) fn cut(rendered: &str, mark: Option<&str>, language: Language) -> Result<Value, String> {
    let mut body = parsed(rendered)?;
    for_each_list(&mut body, &mut |blocks| divide(blocks, Some(SECTION_MAX)))?;
    let mut gone = 0;
    loop {
        let (count, size) = measured(&mut body);
        // Room for the line that says how much is gone.
        let is_fine =
            count < BLOCKS_MAX && size <= SIZE_MAX - 200 || gone == 0 && count <= BLOCKS_MAX && size <= SIZE_MAX;
        let Some(Value::Array(blocks)) = body.pointer_mut("/attachments/0/blocks") else { return Ok(body) };
        let stays =
            |block: &Value| mark.is_some_and(|mark| block["text"]["text"].as_str().is_some_and(|it| it.contains(mark)));
        let goes = (1..blocks.len().saturating_sub(1)).rev().find(|at| !stays(&blocks[*at]));
        let Some(goes) = goes.filter(|_| !is_fine) else {
            if gone > 0 {
                let said = language.say("cut.parts", &[("n", &gone.to_string())]);
                let text = json!({ "type": "plain_text", "emoji": false, "text": said });
                blocks.insert(blocks.len() - 1, json!({ "type": "context", "elements": [text] }));
            }
            return Ok(body);
        };
        blocks.remove(goes);
        gone += 1;
    }
}

fn parsed(rendered: &str) -> Result<Value, String> {
    let body: Value = serde_json::from_str(rendered).map_err(|_| "the message is not valid JSON".to_string())?;
    if body.is_object() { Ok(body) } else { Err("the message is not a JSON object".to_string()) }
}

/// The message's own blocks, and those of each attachment.
fn for_each_list(body: &mut Value, act: &mut impl FnMut(&mut Vec<Value>) -> Result<(), String>) -> Result<(), String> {
    if let Some(Value::Array(blocks)) = body.get_mut("blocks") {
        act(blocks)?;
    }
    let attachments = body.get_mut("attachments").and_then(Value::as_array_mut).into_iter().flatten();
    for attachment in attachments {
        if let Some(Value::Array(blocks)) = attachment.get_mut("blocks") {
            act(blocks)?;
        }
    }
    Ok(())
}

/// How many blocks there are, and how many characters of JSON they take.
fn measured(body: &mut Value) -> (usize, usize) {
    let (mut count, mut size) = (0, 0);
    let measured = for_each_list(body, &mut |blocks| {
        count += blocks.len();
        size += blocks.iter().map(|block| block.to_string().chars().count()).sum::<usize>();
        Ok(())
    });
    debug_assert!(measured.is_ok(), "measuring refuses nothing");
    (count, size)
}

/// Makes several of each section that is too long. A line that is too long by itself is cut to `line_max`.
fn divide(blocks: &mut Vec<Value>, line_max: Option<usize>) -> Result<(), String> {
    for mut block in std::mem::take(blocks) {
        let Some(text) = block.pointer("/text/text").and_then(Value::as_str) else {
            blocks.push(block);
            continue;
        };
        if block["type"] == "header" {
            block["text"]["text"] = Value::from(truncated(text, HEADER_MAX));
            blocks.push(block);
            continue;
        }
        for piece in pieces(text, line_max)? {
            let mut part = block.clone();
            part["text"]["text"] = Value::from(piece);
            blocks.push(part);
        }
    }
    Ok(())
}

fn pieces(text: &str, line_max: Option<usize>) -> Result<Vec<String>, String> {
    let mut pieces: Vec<String> = vec![String::new()];
    let mut size = 0;
    for line in text.lines().flat_map(short_lines) {
        let line = line_max.map_or_else(|| line.to_string(), |max| truncated(line, max));
        let length = line.chars().count();
        if length > SECTION_MAX {
            return Err(format!("a line has {length} characters, and the channel takes {SECTION_MAX}"));
        }
        if size > 0 && size + 1 + length > SECTION_MAX {
            pieces.push(String::new());
            size = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            if size > 0 {
                piece.push('\n');
                size += 1;
            }
            piece.push_str(&line);
            size += length;
        }
    }
    Ok(pieces)
}

/// A line, or several: a list of names may be long, and is divided between them.
fn short_lines(line: &str) -> Vec<&str> {
    let (mut lines, mut left) = (Vec::new(), line);
    while let Some((end, _)) = left.char_indices().nth(SECTION_MAX) {
        let Some(comma) = left[..end].rfind(", ") else { break };
        lines.push(&left[..=comma]);
        left = &left[comma + 2..];
    }
    lines.push(left);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(lines: usize, width: usize) -> String {
        let text: Vec<String> = (0..lines).map(|number| format!("{number:0width$}")).collect();
        let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text.join("\n") } });
        let last = json!({ "type": "context", "elements": [] });
        json!({ "blocks": [], "attachments": [{ "blocks": [section, last] }] }).to_string()
    }

    #[test]
    fn a_long_list_becomes_several_sections_and_loses_no_line() {
        let body = whole(&body(100, 99)).unwrap();
        let blocks = body["attachments"][0]["blocks"].as_array().unwrap();
        let sections: Vec<&str> = blocks.iter().filter_map(|block| block["text"]["text"].as_str()).collect();
        assert_eq!((sections.len(), blocks.len()), (4, 5));
        assert!(sections.iter().all(|text| text.chars().count() <= SECTION_MAX));
        let lines: Vec<&str> = sections.iter().flat_map(|text| text.lines()).collect();
        let expected: Vec<String> = (0..100).map(|number| format!("{number:099}")).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_long_line_of_names_is_divided_between_them() {
        let names: Vec<String> = (0..400).map(|number| format!("job_{number:05}")).collect();
        let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": names.join(", ") } });
        let body = whole(&json!({ "blocks": [section] }).to_string()).unwrap();
        let texts: Vec<&str> =
            body["blocks"].as_array().unwrap().iter().filter_map(|block| block["text"]["text"].as_str()).collect();
        assert!(texts.len() == 2 && texts.iter().all(|text| text.chars().count() <= SECTION_MAX));
        assert_eq!(texts.join(" "), names.join(", "));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(whole(&body(130, 99)).unwrap_err().contains("12000"));
        assert!(whole(&body(1, 3001)).unwrap_err().contains("a line"));
        assert!(whole("no JSON").is_err());
    }

    #[test]
    fn what_may_be_cut_is_cut_to_what_slack_takes() {
        for (lines, width) in [(1, 10), (40, 99), (130, 99), (3, 5000), (900, 60)] {
            let mut cut = cut(&body(lines, width), None, Language::En).unwrap();
            let (count, size) = measured(&mut cut);
            assert!(count <= BLOCKS_MAX && size <= SIZE_MAX, "{lines} x {width}: {count}, {size}");
            let blocks = cut["attachments"][0]["blocks"].as_array().unwrap();
            let fits =
                |block: &Value| block["text"]["text"].as_str().is_none_or(|it| it.chars().count() <= SECTION_MAX);
            assert!(blocks.iter().all(fits) && blocks.last().unwrap()["type"] == "context");
            assert_eq!(cut.to_string().contains("cut\""), lines * width.min(SECTION_MAX) > 11_000, "{lines} x {width}");
        }
    }
}
