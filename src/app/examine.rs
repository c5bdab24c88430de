//! The examination of sources: each is asked what its documents leave open, and what was learnt is kept.
//!
//! It works beside a running Nightbell, which holds the store; then nothing is kept, and that is said.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::model::SourceId;
use crate::source::{Finding, Learnt, SourceSettings};
use crate::store::{Mode, PollLedger as _, SqlStore, StoreError};

/// A source with what was found.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The source.
    pub id: SourceId,
    /// Its kind.
    pub kind: &'static str,
    /// One for each question.
    pub findings: Vec<Finding>,
    /// What later runs can use.
    pub learnt: Learnt,
}

/// What became of what was learnt.
#[derive(Debug)]
pub enum Kept {
    /// It is in the store.
    Stored,
    /// Nothing was learnt.
    Nothing,
    /// It is not, and why.
    Not(StoreError),
}

/// Examines one source. A source that cannot be opened at all is a finding too.
pub async fn examine(settings: &SourceSettings, clock: Arc<dyn Clock>) -> Examined {
    let (id, kind) = (settings.id.clone(), settings.scheduler.kind());
    match settings.open(clock) {
        Ok(source) => {
            let findings = source.examine().await;
            Examined { id, kind, findings, learnt: source.learnt() }
        }
        Err(error) => {
            let finding = Finding {
                question: "Can it be asked?".to_string(),
                answer: error.message,
                grade: crate::source::Grade::Bad,
                help: error.help,
            };
            Examined { id, kind, findings: vec![finding], learnt: Learnt::new() }
        }
    }
}

/// Keeps what was learnt in the store, beside what earlier examinations have found and this one left open.
pub async fn keep_learnt(config: &Config, examined: &[Examined]) -> Kept {
    if examined.iter().all(|one| one.learnt.is_empty()) {
        return Kept::Nothing;
    }
    let keep = async {
        let store =
            SqlStore::open(&config.store, if config.store.is_shared() { Mode::Amend } else { Mode::Work }).await?;
        for one in examined {
            store.save_learnt(&one.id, &Learnt::new(), &one.learnt).await?;
        }
        store.close().await;
        Ok(())
    };
    match keep.await {
        Ok(()) => Kept::Stored,
        Err(error) => Kept::Not(error),
    }
}
