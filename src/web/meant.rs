//! What somebody asks after, as far as they may see it, for the page and the API alike.
//!
//! Reads the store. What is out of sight is as if it were not there.

use super::cursor;
use super::fault::Fault;
use super::sight::{Rows, Sight};
use super::state::Web;
use crate::desk::explain::{Asked, Found, Question, find, named as known};
use crate::model::SourceId;

/// A page of what a text means: a job, a run as `job/id`, or runs by their id. Of no such name, what may have been meant.
pub(super) async fn meant(
    web: &Web,
    sight: &Sight,
    text: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Result<Rows<Asked>, Option<String>>, Fault> {
    let after = cursor::after_place(after)?;
    let sees = |source: &SourceId, job: &str| sight.sees_job(source, job);
    let question = Question { text, sees: &sees, after: after.as_ref(), limit: limit + 1 };
    let found = find(&web.store, &web.in_force().config.rules, &question).await?;
    Ok(match found {
        Ok(found) => Ok(cursor::page(found, limit, |last| cursor::of(&Found::of(last, text)))),
        // What is near may be anybody's.
        Err(near) => Err(near.filter(|_| sight.is_whole())),
    })
}

/// The job, or the run of it, that is named in full.
pub(super) async fn named(
    web: &Web,
    sight: &Sight,
    (source, job): (&str, &str),
    run: Option<&str>,
) -> Result<Option<Asked>, Fault> {
    let source = SourceId::new(source);
    if !sight.sees_job(&source, job) {
        return Ok(None);
    }
    Ok(known(&web.store, &web.in_force().config.rules, (&source, job), run).await?)
}
