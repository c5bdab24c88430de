//! A Slack message about several alerts: one long list, put into as many sections as Slack's limits want.
//!
//! Pure. Nothing is cut: a list that does not fit is refused, and the caller tells of fewer.

use serde_json::Value;

use super::channel::{Parts, body_part};
use super::slack::{BLOCKS_MAX as SIZE_MAX, SECTION_MAX};

/// Most blocks of a message.
const BLOCKS_MAX: usize = 50;

/// The body with each section that is too long made several, between its lines.
///
/// # Errors
/// When a single line or the message as a whole is too large.
pub(super) fn finished(parts: &Parts) -> Result<Parts, String> {
    let rendered = parts.get("body").map_or("", String::as_str);
    let mut body: Value = serde_json::from_str(rendered).map_err(|_| "the message is no JSON".to_string())?;
    let (mut count, mut size) = (0, 0);
    let mut divide = |holder: &mut Value| -> Result<(), String> {
        let Some(Value::Array(blocks)) = holder.get_mut("blocks") else { return Ok(()) };
        for block in std::mem::take(blocks) {
            blocks.extend(divided(block)?);
        }
        count += blocks.len();
        size += blocks.iter().map(|block| block.to_string().chars().count()).sum::<usize>();
        Ok(())
    };
    divide(&mut body)?;
    if let Some(Value::Array(attachments)) = body.get_mut("attachments") {
        attachments.iter_mut().try_for_each(divide)?;
    }
    if count > BLOCKS_MAX {
        return Err(format!("the message has {count} blocks, and the channel takes {BLOCKS_MAX}"));
    }
    if size > SIZE_MAX {
        return Err(format!("the message's blocks have {size} characters, and the channel takes {SIZE_MAX}"));
    }
    Ok(body_part(body.to_string()))
}

fn divided(block: Value) -> Result<Vec<Value>, String> {
    let Some(text) = block.pointer("/text/text").and_then(Value::as_str) else { return Ok(vec![block]) };
    let mut pieces: Vec<String> = vec![String::new()];
    let mut size = 0;
    for line in text.lines().flat_map(short_lines) {
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
            piece.push_str(line);
            size += length;
        }
    }
    let with = |text: String| {
        let mut block = block.clone();
        block["text"]["text"] = Value::from(text);
        block
    };
    Ok(pieces.into_iter().map(with).collect())
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
    use serde_json::json;

    use super::*;

    fn body(lines: usize, width: usize) -> Parts {
        let text: Vec<String> = (0..lines).map(|number| format!("{number:0width$}")).collect();
        let section = json!({ "type": "section", "text": { "type": "mrkdwn", "text": text.join("\n") } });
        let last = json!({ "type": "context", "elements": [] });
        body_part(json!({ "blocks": [], "attachments": [{ "blocks": [section, last] }] }).to_string())
    }

    #[test]
    fn a_long_list_becomes_several_sections_and_loses_no_line() {
        let body: Value = serde_json::from_str(&finished(&body(100, 99)).unwrap()["body"]).unwrap();
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
        let parts = body_part(json!({ "blocks": [section] }).to_string());
        let body: Value = serde_json::from_str(&finished(&parts).unwrap()["body"]).unwrap();
        let texts: Vec<&str> =
            body["blocks"].as_array().unwrap().iter().filter_map(|block| block["text"]["text"].as_str()).collect();
        assert!(texts.len() == 2 && texts.iter().all(|text| text.chars().count() <= SECTION_MAX));
        assert_eq!(texts.join(" "), names.join(", "));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(finished(&body(130, 99)).unwrap_err().contains("12000"));
        assert!(finished(&body(1, 3001)).unwrap_err().contains("a line"));
        assert!(finished(&body_part("no JSON")).is_err());
    }
}
