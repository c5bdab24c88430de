//! Names on the command line: whether there is such a rule, receiver or source, and what was probably meant where there is
//! not.
//!
//! A name is known that stands in the configuration, or in the store from the time when it stood there. Reads both.

use std::collections::BTreeSet;

use super::ground::Failure;
use super::place::Desk;
use crate::alert::own;
use crate::limits::NAMES_SHOWN;
use crate::store::{Archive as _, Counts as _, SqlStore, StoreError};
use crate::yaml::closest;

/// Why there is nothing called `name` among the `known` things.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Failure {
    let known: BTreeSet<&str> = known.collect();
    let help = match closest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None if known.is_empty() => format!("there are no {what}s"),
        None => {
            let shown: Vec<&str> = known.iter().copied().take(NAMES_SHOWN).collect();
            let more = known.len() - shown.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("the {what}s are {}{more}", shown.join(", "))
        }
    };
    Failure::Usage(format!("there is no {what} {name:?}; {help}"))
}

/// Refuses rules that neither the configuration has nor an alert is of.
pub(super) async fn rules(desk: &Desk, store: &SqlStore, names: &[String]) -> Result<(), Failure> {
    let own = own::RULES.into_iter().chain([own::ALL]).map(str::to_string);
    let configured = desk.config.rules.rules().iter().map(|rule| rule.id.to_string()).chain(own);
    all_known("rule", names, configured.collect(), async || {
        Ok(store.recorded_rules().await?.iter().map(ToString::to_string).collect())
    })
    .await
}

/// Refuses receivers that neither the configuration has nor a delivery is for.
pub(super) async fn receivers(desk: &Desk, store: &SqlStore, names: &[String]) -> Result<(), Failure> {
    let configured = desk.config.receivers.iter().map(|receiver| receiver.id.to_string());
    all_known("receiver", names, configured.collect(), async || {
        Ok(store.recorded_receivers().await?.iter().map(ToString::to_string).collect())
    })
    .await
}

/// Refuses sources that neither the configuration has nor were ever asked.
pub(super) async fn sources(desk: &Desk, store: &SqlStore, names: &[String]) -> Result<(), Failure> {
    let configured = desk.config.sources.iter().map(|source| source.id.to_string());
    all_known("source", names, configured.collect(), async || {
        Ok(store.sources().await?.iter().map(|source| source.id.to_string()).collect())
    })
    .await
}

/// The store is asked only where the configuration does not have a name: it looks at every row.
async fn all_known(
    what: &str,
    names: &[String],
    mut known: Vec<String>,
    recorded: impl AsyncFnOnce() -> Result<Vec<String>, StoreError>,
) -> Result<(), Failure> {
    if names.iter().all(|name| known.contains(name)) {
        return Ok(());
    }
    known.extend(recorded().await?);
    match names.iter().find(|name| !known.contains(name)) {
        Some(name) => Err(unknown(what, name, known.iter().map(String::as_str))),
        None => Ok(()),
    }
}
