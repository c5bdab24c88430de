//! Which lease each loop of a configuration runs by.
//!
//! Pure: a configuration in, names out. What shares a limit at the other end (sources of one account, receivers of one
//! destination) shares a lease, so that one process keeps to it.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::model::{ReceiverId, SourceId};
use crate::worker::lease::POLL;

/// The leases of the loops that every configuration has: by the name under which each publishes its status.
const OWN: [&str; 8] = ["digest", "escalation", "fallback", "heartbeat", "housekeeping", "own", "remind", "unwatched"];

/// The lease of the loop that polls a source; none if there is no such source.
pub(super) fn of_source(config: &Config, id: &SourceId) -> Option<String> {
    let own = config.sources.iter().find(|settings| settings.id == *id)?.scheduler.rate_group();
    let shares = config.sources.iter().filter(|it| it.id == *id || own.is_some() && it.scheduler.rate_group() == own);
    Some(named(POLL, shares.map(|settings| settings.id.as_str())))
}

/// The lease of the lane to a receiver, whose destination's budget goes with it; none if there is no such receiver.
pub(super) fn of_receiver(config: &Config, id: &ReceiverId) -> Option<String> {
    Some(named("deliver/", of_same_destination(config, id)?.iter().map(ReceiverId::as_str)))
}

/// The receivers that lead where this one leads, itself among them; none if there is no such receiver.
pub(super) fn of_same_destination(config: &Config, id: &ReceiverId) -> Option<Vec<ReceiverId>> {
    let own = config.receivers.iter().find(|settings| settings.id == *id)?.channel.destination();
    let same = config.receivers.iter().filter(|settings| settings.channel.destination() == own);
    Some(same.map(|settings| settings.id.clone()).collect())
}

/// The leases of all loops.
pub(super) fn of_all(config: &Config) -> BTreeSet<String> {
    let polls = config.sources.iter().filter_map(|settings| of_source(config, &settings.id));
    let lanes = config.receivers.iter().filter_map(|settings| of_receiver(config, &settings.id));
    polls.chain(lanes).chain(OWN.map(String::from)).collect()
}

fn named<'a>(kind: &str, members: impl Iterator<Item = &'a str>) -> String {
    let mut members: Vec<&str> = members.collect();
    members.sort_unstable();
    format!("{kind}{}", members.join("+"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::LoadOptions;

    #[test]
    fn what_shares_a_limit_shares_a_lease() {
        let scheduler = "{ type: schedulerx, region: cn-hangzhou, namespace: n, groups: [g], auth: { access_key: a, \
                         secret_key: k } }";
        let workspace = "{ type: dataarts, endpoint: \"http://127.0.0.1:9\", project_id: p, auth: { token: t } }";
        let hook = |path: &str| format!("{{ type: webhook, url: \"http://127.0.0.1:9/{path}\" }}");
        let text = format!(
            "version: 1\nsources: {{ zeta: {scheduler}, alpha: {scheduler}, one: {workspace}, two: {workspace} }}\n\
             receivers: {{ team: {}, lead: {}, pager: {} }}\n\
             rules: {{ failed: {{ match: {{ job: \"*\" }}, when: {{ status: [fail] }}, notify: [team, lead, pager] }} }}\n",
            hook("hook"),
            hook("hook"),
            hook("other")
        );
        let config =
            Config::from_text(text, "rules.yaml", Path::new("."), &LoadOptions { offline: true }).unwrap().config;
        let expected = ["deliver/lead+team", "deliver/pager", "poll/alpha+zeta", "poll/one", "poll/two"];
        let all = of_all(&config);
        let shown: Vec<&str> = all.iter().map(String::as_str).filter(|name| name.contains('/')).collect();
        assert_eq!(shown, expected);
        assert_eq!(all.len(), expected.len() + OWN.len());
        for id in ["team", "lead"] {
            assert_eq!(of_receiver(&config, &id.into()).as_deref(), Some("deliver/lead+team"));
        }
        assert_eq!(of_source(&config, &SourceId::new("gone")), None);
        assert_eq!(of_receiver(&config, &ReceiverId::new("gone")), None);
    }
}
