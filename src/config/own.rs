//! `self`: who hears of trouble with sources and receivers, and with Nightbell itself. `heartbeat`: whom Nightbell tells
//! that it works.

use std::path::PathBuf;
use std::time::Duration;

use super::matching::Names;
use super::notify::read_notify;
use super::sources::check_file;
use crate::alert::own::Watch;
use crate::http::{CA_FILE, secret_url};
use crate::limits::{HEARTBEAT_EVERY_MAX, HEARTBEAT_EVERY_MIN};
use crate::model::ReceiverId;
use crate::secret::SecretRef;
use crate::yaml::{Key, Keys, Section, Shape, duration_text};

/// `self`.
pub(super) static OWN: Keys = Keys::of(
    "self",
    "Who hears of trouble with sources and receivers, and with Nightbell itself.",
    &[&[
        Key::new("notify", Shape::Texts, "Who is notified; two are better than one.")
            .required()
            .example("[oncall, team]"),
        Key::new(
            "unreadable_after",
            Shape::Duration,
            "How long a source must be unreadable before somebody is notified.",
        )
        .default("15m"),
        Key::new("source_unreadable", Shape::Flag, "Notify when a source cannot be read.").default("true"),
        Key::new("source_incomplete", Shape::Flag, "Notify when only a part of a source can be read.").default("true"),
        Key::new("receiver_dead", Shape::Flag, "Notify when messages do not reach a receiver.").default("true"),
        Key::new("reload_refused", Shape::Flag, "Notify when a changed configuration is refused.").default("true"),
        Key::new("loop_failing", Shape::Flag, "Notify when a background loop does not work.").default("true"),
        Key::new(
            "replica_outdated",
            Shape::Flag,
            "Notify when the configuration of a replica is not the one in force.",
        )
        .default("true"),
    ]],
);

/// `heartbeat`.
pub(super) static HEARTBEAT: Keys = Keys::of(
    "heartbeat",
    "Whom Nightbell reports to that it works.",
    &[&[
        Key::new("url", Shape::Secret, "What is called as long as Nightbell works: a dead man's switch.")
            .required()
            .example("{ env: HEARTBEAT_URL }"),
        Key::new("every", Shape::Duration, "How often.").default("1m"),
        CA_FILE,
    ]],
);

/// Whom Nightbell tells that it works.
#[derive(Debug, Clone)]
pub struct HeartbeatSettings {
    /// What is asked for with GET. Who knows it can keep the alarm quiet, so it is a secret.
    pub url: SecretRef,
    /// How often.
    pub every: Duration,
    /// PEM certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Reads `self`. Where it is not written, or wrong, nobody is told and everything is watched.
pub(super) fn read(file: &Section<'_>, known: &Names<'_>) -> Watch {
    let mut watch = Watch {
        notify: Vec::new(),
        unreadable_after: OWN.default_of("unreadable_after").unwrap_or_default(),
        source_unreadable: true,
        source_incomplete: true,
        receiver_dead: true,
        reload_refused: true,
        loop_failing: true,
        replica_outdated: true,
    };
    let Some(section) = file.section("self") else { return watch };
    let notify = read_notify(&section, known);
    if notify.as_ref().is_some_and(Vec::is_empty) && section.has("notify") {
        section.error("notify", "the list is empty", Some("name the receivers that are notified".into()));
    }
    watch.notify = notify.unwrap_or_default();
    if !section.has("notify") {
        section.missing("notify", Some("name the receivers that are notified".into()));
    }
    watch.unreadable_after = section.or_default("unreadable_after");
    watch.source_unreadable = section.or_default("source_unreadable");
    watch.source_incomplete = section.or_default("source_incomplete");
    watch.receiver_dead = section.or_default("receiver_dead");
    watch.reload_refused = section.or_default("reload_refused");
    watch.loop_failing = section.or_default("loop_failing");
    watch.replica_outdated = section.or_default("replica_outdated");
    if let ([only], true) = (watch.notify.as_slice(), watch.receiver_dead)
        && known.receivers.len() > 1
    {
        let help = Some(format!("name a second receiver, or write receiver_dead: false if nobody need know of {only}"));
        section.warning("notify", format!("when {only} itself cannot be reached, nobody is notified"), help);
    }
    section.close();
    watch
}

/// Everybody that `self` names, whether or not the rest of it is right.
pub(super) fn receivers(watch: &Watch) -> impl Iterator<Item = String> + '_ {
    watch.notify.iter().map(ReceiverId::to_string)
}

/// Reads `heartbeat`.
pub(super) fn read_heartbeat(file: &Section<'_>) -> Option<HeartbeatSettings> {
    let section = file.section("heartbeat")?;
    let url = section.required::<SecretRef>("url");
    if let Some(SecretRef::Inline(url)) = &url
        && let Err(reason) = secret_url(url)
    {
        section.error("url", reason, None);
    }
    let every = section.or_default::<Duration>("every");
    if !(HEARTBEAT_EVERY_MIN..=HEARTBEAT_EVERY_MAX).contains(&every) {
        let (least, most) = (duration_text(HEARTBEAT_EVERY_MIN), duration_text(HEARTBEAT_EVERY_MAX));
        let help = Some(format!("write something from {least} to {most}"));
        section.error("every", format!("{} is not a valid interval of a heartbeat", duration_text(every)), help);
    }
    let ca_file = section.optional::<PathBuf>("ca_file");
    check_file(&section, "ca_file");
    section.close();
    Some(HeartbeatSettings { url: url?, every, ca_file })
}
