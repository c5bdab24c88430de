//! How the loops of a lease fare, in words: what other replicas and `nightbell replicas` read beside it.
//!
//! Reads the statuses that the loops publish, by the name that the lease has; writes nothing.

use crate::worker::turn::{Status, Statuses};

/// How the loops of the lease of this name fare. `is_run` says whether a loop runs by it: one that publishes nothing then
/// has nothing to do. None where there is nothing to say yet.
pub(super) fn in_words(lease: &str, known: &Statuses, is_run: bool) -> Option<String> {
    let (kind, members) = match lease.split_once('/') {
        Some((kind, members)) => (format!("{kind}/"), members),
        None => (String::new(), lease),
    };
    let status_of = |member: &str| known.get(&format!("{kind}{member}"));
    let found: Vec<(&str, String)> =
        members.split('+').filter_map(|member| Some((member, of_one(&status_of(member)?)))).collect();
    match found.as_slice() {
        [] => is_run.then(|| "has nothing to do".to_string()),
        [(_, words)] if !members.contains('+') => Some(words.clone()),
        several => {
            Some(several.iter().map(|(member, words)| format!("{member}: {words}")).collect::<Vec<_>>().join("; "))
        }
    }
}

fn of_one(status: &Status) -> String {
    match (&status.failing, status.looked_at) {
        (Some(failing), _) => format!("fails since {}: {}", failing.since, failing.error),
        (None, Some(at)) => format!("looked at {at}"),
        (None, None) => "begins".into(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::worker::turn::Failing;

    #[test]
    fn every_loop_of_a_lease_is_told_of_by_its_own_name() {
        let known = Statuses::default();
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let published = ["deliver/b", "poll/a", "own", "poll/c"];
        let publishers = published.map(|name| known.publisher(name));
        publishers[0].publish(|status| status.looked_at = Some(at));
        publishers[1].publish(|status| status.failing = Some(Failing { since: at, error: "401".into() }));
        publishers[3].publish(|status| status.looked_at = Some(at));
        let said = |lease| in_words(lease, &known, true);
        assert_eq!(said("own").as_deref(), Some("begins"));
        assert_eq!(said("deliver/b").as_deref(), Some("looked at 2027-01-15T08:00:00Z"));
        let both = "a: fails since 2027-01-15T08:00:00Z: 401; c: looked at 2027-01-15T08:00:00Z";
        assert_eq!(said("poll/a+c").as_deref(), Some(both));
        assert_eq!(said("poll/c+x").as_deref(), Some("c: looked at 2027-01-15T08:00:00Z"));
        assert_eq!(said("digest").as_deref(), Some("has nothing to do"));
        assert_eq!(in_words("digest", &known, false), None);
    }
}
