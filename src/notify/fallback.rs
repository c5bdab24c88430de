//! The line of a message that says whom it was meant for and why it did not arrive there. Pure.
//!
//! It is put into what the templates made, under the head of the message, so that it is there with a user's own
//! templates too, and where a text is cut it stays. Kinds whose content is a card say how their card takes it
//! ([`super::channel::Channel::note_block`]).

use serde_json::Value;

use super::channel::{Channel, Parts};
use super::receiver::ChannelSettings;
use crate::model::{MeantFor, Untold};
use crate::template::{
    Locale, OutputKind, dingtalk_text, discord_text, display_text, local_time, telegram_text, truncated, wecom_text,
};

/// Most of an error that the note quotes, in characters: enough to know who must mend what.
const ERROR_MAX: usize = 240;

/// A note in one line, free of control characters, not escaped.
fn note(meant: &MeantFor, locale: &Locale) -> String {
    let language = locale.language;
    let receiver = meant.receiver.as_str();
    let Some(Untold { given_up, since, attempts, error }) = &meant.untold else {
        return display_text(&language.say("meant.ended", &[("receiver", receiver)]));
    };
    let attempts = match attempts {
        0 => language.say("meant.not_tried", &[]),
        n => language.say("meant.attempts", &[("n", &n.to_string())]),
    };
    let since = local_time(*since, &locale.timezone);
    let error = error.as_deref().map(|error| truncated(error, ERROR_MAX)).unwrap_or_default();
    let values = [("receiver", receiver), ("attempts", &attempts), ("since", &since), ("error", &error)];
    let said = match given_up {
        true => language.say("meant.given_up", &values),
        false => language.say("meant.not_yet", &values),
    };
    display_text(&said)
}

/// Puts the note into the parts, escaped for each.
pub(super) fn put(settings: &ChannelSettings, parts: &mut Parts, meant: &MeantFor, locale: &Locale) {
    let note = note(meant, locale);
    let channel = settings.channel();
    for built_in in settings.kind().alert {
        let Some(text) = parts.get_mut(built_in.part) else { continue };
        match (built_in.kind, built_in.part) {
            (OutputKind::Json | OutputKind::Slack, _) => put_into_json(channel, text, &note),
            // A head of its own, which the text repeats or stands under: it says what happened, not to whom.
            (_, "title" | "subject") => {}
            (OutputKind::Header, _) => {
                let short = locale.language.say("meant.short", &[("receiver", meant.receiver.as_str())]);
                text.push_str(&display_text(&format!(" {short}")));
            }
            (OutputKind::DingTalk, _) => under_head(text, &dingtalk_text(&note)),
            (OutputKind::WeCom, _) => under_head(text, &wecom_text(&note)),
            (OutputKind::Discord, _) => under_head(text, &discord_text(&note)),
            (OutputKind::Telegram, _) => under_head(text, &format!("<i>{}</i>", telegram_text(&note))),
            (OutputKind::Plain, _) => *text = format!("{note}\n\n{text}"),
            (OutputKind::Html, _) => into_page(text, &note),
            // No part of a message is one of these.
            (OutputKind::Address | OutputKind::Prose, _) => {}
        }
    }
}

fn under_head(text: &mut String, note: &str) {
    let end = text.find('\n').unwrap_or(text.len());
    text.insert_str(end, &format!("\n\n{note}"));
}

/// At the top of the page, whatever page it is; without a body it is a fragment that begins at once.
fn into_page(html: &mut String, note: &str) {
    let note = handlebars::html_escape(note);
    let block = format!(
        "<div class=\"note\" style=\"padding:12px 16px; background:#fff8c5; color:#4d3800; font-family:sans-serif; \
         font-size:15px; line-height:22px; word-break:break-word;\">{note}</div>"
    );
    let body = html.find("<body").and_then(|at| Some(at + html[at..].find('>')? + 1));
    html.insert_str(body.unwrap_or(0), &block);
}

/// What is no JSON, or no card of the kind's own shape, stays as it is: the alert matters more than the note.
fn put_into_json(channel: &dyn Channel, text: &mut String, note: &str) {
    let Ok(mut body) = serde_json::from_str::<Value>(text) else { return };
    let Some((pointer, at, block)) = channel.note_block(note) else { return };
    if let Some(Value::Array(blocks)) = body.pointer_mut(pointer) {
        blocks.insert(at.min(blocks.len()), block);
    } else if let Some(Value::String(plain)) = body.get_mut("text") {
        let escaped = block["text"]["text"].as_str().unwrap_or(note);
        *plain = format!("{escaped}\n{plain}");
    }
    *text = body.to_string();
}
