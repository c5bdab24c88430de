//! A recorded time as a script to play: from the log of transitions, the log of polls, the silences and the
//! acknowledgements of a store. Reads only.

use jiff::Timestamp;

use crate::limits::REPLAY_WARM_UP;
use crate::model::{PollOutcome, PollRecord, Sighting, SourceId};
use crate::source::SourceSettings;
use crate::store::{Archive, Desk, StoreError, Transition};
use crate::worker::replay::{Before, Reel, Script};

/// A recorded time.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// What is to be played: it begins earlier than what was asked for, so that what was going on then is known.
    pub script: Script,
    /// What the log holds of each source.
    pub sources: Vec<OnRecord>,
}

/// What the log holds of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    /// The source.
    pub source: SourceId,
    /// Its first poll of all that was recorded; none where none was.
    pub first_poll: Option<Timestamp>,
    /// Polls within what was asked for.
    pub polls: usize,
    /// How many of them could not read the source.
    pub unread: usize,
    /// States that runs took within what was asked for.
    pub transitions: usize,
}

/// Reads what was recorded between `since` and `until` of these sources, with as much of the time before as it takes to
/// know what was going on at its beginning.
///
/// # Errors
/// When the store fails.
pub async fn recorded<S: Desk + Archive>(
    store: &S,
    sources: &[SourceSettings],
    since: Timestamp,
    until: Timestamp,
) -> Result<Recorded, StoreError> {
    let mut recorded = Recorded::default();
    recorded.script.until = Some(until);
    let played_from = since.checked_sub(REPLAY_WARM_UP).unwrap_or(Timestamp::MIN);
    for settings in sources {
        let all = store.polls_between(&settings.id, Timestamp::MIN, until).await?;
        let (earlier, polls): (Vec<PollRecord>, Vec<PollRecord>) =
            all.iter().partition(|poll| poll.polled_at < played_from);
        let within = || polls.iter().filter(|poll| poll.polled_at >= since);
        let mut on_record = OnRecord {
            source: settings.id.clone(),
            first_poll: all.first().map(|poll| poll.polled_at),
            polls: within().count(),
            unread: within().filter(|poll| poll.outcome == PollOutcome::Unread).count(),
            transitions: 0,
        };
        if let Some(first) = polls.first().map(|poll| poll.polled_at) {
            let before = before(store.states_before(&settings.id, first).await?, &earlier);
            let transitions = store.transitions_between(&settings.id, first, until).await?;
            on_record.transitions = transitions.iter().filter(|it| it.seen_at >= since).count();
            let sightings = transitions.into_iter().map(|Transition { seen_at: at, instance }| Sighting {
                at,
                instance,
                nodes: Vec::new(),
            });
            let source = settings.id.clone();
            recorded.script.reels.push(Reel { source, before, sightings: sightings.collect(), polls });
        }
        recorded.sources.push(on_record);
    }
    let silences = store.silences().await?.into_iter().map(|(silence, _)| silence);
    recorded.script.silences = silences.filter(|silence| silence.created_at <= until).collect();
    recorded.script.acks = store.acks().await?.into_iter().collect();
    Ok(recorded)
}

/// What was known before the first poll that is played; nothing where that was the first of all.
fn before(states: Vec<Transition>, earlier: &[PollRecord]) -> Option<Before> {
    let read = earlier.iter().rev().find(|poll| poll.outcome == PollOutcome::Whole).map(|poll| poll.polled_at);
    // Of a store that is older than its log, the last change is the last sign of life.
    let read_until = read.or_else(|| states.iter().map(|state| state.seen_at).max())?;
    Some(Before { read_until, instances: states.into_iter().map(|state| state.instance).collect() })
}
