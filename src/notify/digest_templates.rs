//! The templates of digests: mail says everything, chats get a short form.
//!
//! They make the same parts as the templates of alerts, so that a kind of receiver need not know which it is. Chats that
//! read Markdown share theirs.

use crate::template::{BuiltIn, OutputKind};

macro_rules! template {
    ($part:literal, $file:literal, $kind:ident, $path:literal) => {
        BuiltIn {
            part: $part,
            file: $file,
            kind: OutputKind::$kind,
            text: include_str!(concat!("../../templates/", $path)),
        }
    };
}

const EMAIL: &[BuiltIn] = &[
    template!("subject", "digest.subject.txt.hbs", Header, "email/digest.subject.txt.hbs"),
    template!("html", "digest.html.hbs", Html, "email/digest.html.hbs"),
    template!("text", "digest.txt.hbs", Plain, "email/digest.txt.hbs"),
];
const CHAT: &[BuiltIn] = &[
    template!("title", "digest-title.md.hbs", Markdown, "chat/digest-title.md.hbs"),
    template!("text", "digest.md.hbs", Markdown, "chat/digest.md.hbs"),
];
const WECOM: &[BuiltIn] = &[template!("text", "digest.md.hbs", Markdown, "chat/digest.md.hbs")];
const SLACK: &[BuiltIn] = &[template!("body", "digest.json.hbs", Slack, "slack/digest.json.hbs")];
const FEISHU: &[BuiltIn] = &[template!("body", "digest.json.hbs", Json, "feishu/digest.json.hbs")];
const TEAMS: &[BuiltIn] = &[template!("body", "digest.json.hbs", Json, "teams/digest.json.hbs")];
const TELEGRAM: &[BuiltIn] = &[template!("text", "digest.html.hbs", Telegram, "telegram/digest.html.hbs")];
const SMN: &[BuiltIn] = &[
    template!("subject", "digest.subject.txt.hbs", Header, "smn/digest.subject.txt.hbs"),
    template!("text", "digest.txt.hbs", Plain, "email/digest.txt.hbs"),
    template!("sms", "digest.sms.txt.hbs", Header, "smn/digest.sms.txt.hbs"),
];
const PAGERDUTY: &[BuiltIn] = &[template!("summary", "digest.txt.hbs", Header, "pagerduty/digest.txt.hbs")];
/// Used when it is replaced; the default body is written without a template.
const WEBHOOK: &[BuiltIn] = &[template!("body", "digest.json.hbs", Json, "webhook/digest.json.hbs")];

/// The templates of a kind of receiver, by the word for `type`.
pub(super) fn of(kind: &str) -> &'static [BuiltIn] {
    match kind {
        "email" => EMAIL,
        "dingtalk" | "discord" => CHAT,
        "wecom" => WECOM,
        "slack" => SLACK,
        "feishu" => FEISHU,
        "teams" => TEAMS,
        "telegram" => TELEGRAM,
        "smn" => SMN,
        "pagerduty" => PAGERDUTY,
        _ => WEBHOOK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::KINDS;

    #[test]
    fn every_kind_but_the_webhook_has_its_own() {
        for kind in KINDS {
            assert_eq!(of(kind)[0].text == WEBHOOK[0].text, kind == "webhook", "{kind}");
        }
    }
}
