//! `nightbell explain`: why somebody was told of a run or a job, or why not.

mod text;

use clap::Args;

use self::text::as_text;
use super::ground::{Exit, Failure, now_of};
use super::output::{complain, fail, grouped, print};
use super::place::Desk;
use crate::desk::explain::{Asked, Question, explain, find, find_matching};
use crate::desk::json;
use crate::limits::EXPLAINED_JOBS_MAX;
use crate::rule::Pattern;
use crate::store::{Mode, SqlStore};

/// The command's arguments, without the configuration file.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A job's name, an instance's id, or both: etl_orders, 34765, etl_orders/34765; or a pattern of jobs: 'etl_*'.
    #[arg(value_name = "INSTANCE|JOB|PATTERN")]
    subject: String,
    /// One JSON object for each run or job of that name.
    #[arg(long)]
    json: bool,
    /// Every rule, those about other jobs too.
    #[arg(long)]
    all: bool,
}

pub(super) async fn explain_all(desk: &Desk, arguments: &Arguments) -> Result<Exit, Failure> {
    let config = &desk.config;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let text = arguments.subject.as_str();
    let question = Question { text, sees: &|_, _| true, after: None, limit: EXPLAINED_JOBS_MAX + 1 };
    let found = match find(&store, &config.rules, &question).await? {
        Ok(found) => at_most(found),
        Err(near) => match matching(&store, text).await? {
            Some(found) => found,
            None => return Ok(not_found(text, near.as_deref())),
        },
    };
    let is_one_of_several = found.len() > 1;
    for (index, asked) in found.into_iter().enumerate() {
        let explanation = explain(&store, &config.rules, Asked::clone(&asked), now).await?;
        if arguments.json {
            print(json::explanation(&explanation, &config.timezone, now))?;
        } else {
            let gap = if index > 0 { "\n" } else { "" };
            let (zone, all, is_whole) = (&config.timezone, arguments.all, desk.is_whole);
            let shown = text::Shown { zone, now, all, is_one_of_several, is_whole, sources: &config.sources };
            print(format_args!("{gap}{}", as_text(&explanation, &shown).trim_end()))?;
        }
    }
    Ok(Exit::Done)
}

/// As many as are explained at once of what has the name; says so where that is not all.
fn at_most(mut found: Vec<Asked>) -> Vec<Asked> {
    if found.len() > EXPLAINED_JOBS_MAX {
        found.truncate(EXPLAINED_JOBS_MAX);
        complain(format_args!("the first {EXPLAINED_JOBS_MAX} of those with this id; name the job: JOB/ID"));
    }
    found
}

/// The jobs that a pattern means; nothing where the text is no pattern, or matches none.
async fn matching(store: &SqlStore, text: &str) -> Result<Option<Vec<Asked>>, Failure> {
    let Ok(pattern) = Pattern::parse(text) else { return Ok(None) };
    if pattern.literal().is_some() {
        return Ok(None);
    }
    let matcher = pattern.matcher().map_err(Failure::Usage)?;
    let (found, all) = find_matching(store, &matcher, EXPLAINED_JOBS_MAX).await?;
    if found.len() < all {
        let (shown, all) = (found.len(), grouped(all as u64));
        complain(format_args!("the first {shown} of {all} jobs; write more of the name"));
    }
    Ok((!found.is_empty()).then_some(found))
}

/// Says that nothing bears the name, and what may have been meant.
fn not_found(subject: &str, near: Option<&str>) -> Exit {
    let help = near.map_or_else(
        || "`nightbell jobs` and `nightbell instances` list what is remembered".to_string(),
        |near| format!("did you mean {near:?}?"),
    );
    fail(format_args!("there is no job and no instance {subject:?}; {help}"));
    Exit::Failed
}
