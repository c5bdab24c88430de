//! `self`: who hears of trouble with sources and receivers, and with Nightbell itself. `heartbeat`: whom Nightbell tells
//! that it works.

use std::path::PathBuf;
use std::time::Duration;

use super::rules::{Names, read_notify};
use super::sources::check_file;
use crate::alert::own::Watch;
use crate::http::secret_url;
use crate::limits::{HEARTBEAT_EVERY_MAX, HEARTBEAT_EVERY_MIN, OWN_UNREADABLE_AFTER};
use crate::model::ReceiverId;
use crate::secret::SecretRef;
use crate::yaml::{Section, duration_text};

/// The default of `every`: what most of those who listen for heartbeats count in.
const EVERY: Duration = Duration::from_secs(60);

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
        unreadable_after: OWN_UNREADABLE_AFTER,
        source_unreadable: true,
        source_incomplete: true,
        receiver_dead: true,
        reload_refused: true,
        loop_failing: true,
    };
    let Some(section) = file.section("self") else { return watch };
    watch.notify = read_notify(&section, known).unwrap_or_default();
    if !section.has("notify") {
        section.error("", "the key \"notify\" is missing", Some("name the receivers that are told".into()));
    }
    watch.unreadable_after = section.or("unreadable_after", watch.unreadable_after);
    watch.source_unreadable = section.or("source_unreadable", true);
    watch.source_incomplete = section.or("source_incomplete", true);
    watch.receiver_dead = section.or("receiver_dead", true);
    watch.reload_refused = section.or("reload_refused", true);
    watch.loop_failing = section.or("loop_failing", true);
    if let ([only], true) = (watch.notify.as_slice(), watch.receiver_dead)
        && known.receivers.len() > 1
    {
        let help = Some(format!("name a second receiver, or write receiver_dead: false if nobody need know of {only}"));
        section.warning("notify", format!("when {only} itself cannot be told, nobody is"), help);
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
    let every = section.or("every", EVERY);
    if !(HEARTBEAT_EVERY_MIN..=HEARTBEAT_EVERY_MAX).contains(&every) {
        let (least, most) = (duration_text(HEARTBEAT_EVERY_MIN), duration_text(HEARTBEAT_EVERY_MAX));
        let help = Some(format!("write something from {least} to {most}"));
        section.error("every", format!("a heartbeat every {} is none", duration_text(every)), help);
    }
    let ca_file = section.optional::<PathBuf>("ca_file");
    check_file(&section, "ca_file");
    section.close();
    Some(HeartbeatSettings { url: url?, every, ca_file })
}
