//! `nightbell store copy`: a whole store into another one, from a file to a PostgreSQL database or back.
//!
//! Nobody may work on either meanwhile. What was copied is counted on both sides before it counts.

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};

use super::ground::{Exit, Failure};
use super::output::{complain, grouped, print, table};
use super::replicas::living;
use crate::store::{Leases as _, Mode, SqlStore, StoreAddress};

/// `store`.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copies everything that FROM remembers to TO, which must be new. Stop nightbell on both before. Passwords of databases are
    /// taken from PGPASSWORD, or the file that PGPASSFILE names.
    Copy {
        /// Where from: sqlite:///PATH or postgres://USER@HOST/DATABASE.
        from: String,
        /// Where to; made where it is not there.
        to: String,
    },
}

pub(super) async fn store(command: &StoreCommand) -> Result<Exit, Failure> {
    let StoreCommand::Copy { from, to } = command;
    let (from, to) = (StoreAddress::new(from), StoreAddress::new(to));
    if from == to {
        return Err(Failure::Usage("FROM and TO are the same store".into()));
    }
    let source = SqlStore::open(&from, Mode::Read).await?;
    refuse_if_busy(&from, &source).await?;
    let target = SqlStore::open(&to, Mode::Work).await?;
    if target.is_shared() {
        refuse_if_busy(&to, &target).await?;
    }
    // A pipe gets no progress: a hidden bar draws nothing.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:<16} {wide_bar} {human_pos} of {human_len} rows") {
        bar.set_style(style);
    }
    let copied = source
        .copy_into(&target, |table, done, all| {
            bar.set_message(table.to_string());
            bar.set_length(all);
            bar.set_position(done);
        })
        .await;
    bar.finish_and_clear();
    target.close().await;
    source.close().await;
    let copied = copied?;
    let all: u64 = copied.iter().map(|one| one.rows).sum();
    print(table(&["TABLE", "ROWS"], copied.into_iter().map(|one| vec![one.table, grouped(one.rows)]).collect()))?;
    complain(format_args!("{} rows are in {to}, as many as in {from}; write its address into \"store\"", grouped(all)));
    Ok(Exit::Done)
}

/// Nobody may write to a store while it is copied.
async fn refuse_if_busy(address: &StoreAddress, store: &SqlStore) -> Result<(), Failure> {
    let who = match store.is_shared() {
        true => {
            living(&store.look(None).await?).map(|one| format!("{} ({})", one.replica.host, one.replica.pid)).next()
        }
        false => SqlStore::worker(address)?.map(|worker| worker.pid.map_or_else(String::new, |pid| pid.to_string())),
    };
    match who {
        Some(who) => Err(Failure::Usage(format!("nightbell works on {address} (process {who}): stop it first"))),
        None => Ok(()),
    }
}
