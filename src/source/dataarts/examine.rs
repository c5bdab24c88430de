//! The examination of a workspace: what the documents leave open, asked with a handful of read-only calls.
//!
//! Takes pages of the instance list as they come and gives findings that a person understands. What can be used is
//! learnt with them. It changes nothing at the service and knows nothing of where findings are shown or kept.

use jiff::Timestamp;

use super::workspace::{DataArts, OFFSET, SPAN_DAYS, SPANS_DAYS};
use crate::source::contract::{Finding, Grade, SourceError, SourceErrorKind};
use crate::source::kit::Call;
use crate::source::kit::json::{Json, Spot};
use crate::source::kit::paging::Meaning;

/// What is known only to who asks: whether the window means plan or start times.
const WINDOW: &str = "window";
/// The unit of `executeTime`.
const EXECUTE_TIME: &str = "execute_time";
/// Whether failed instances come with a failure text.
const ERROR_MESSAGE: &str = "error_message";

const DAY_MILLISECONDS: i64 = 24 * 3600 * 1000;
/// Instances that the sample holds at most.
const SAMPLE: usize = 1000;
/// By how much an instance must have started late to tell plan from start time, and lasted to tell a unit.
const TELLING_MILLISECONDS: i64 = 2000;

/// An instance as it came, no field interpreted but those that the questions need.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    id: String,
    status: String,
    plan: Option<i64>,
    start: Option<i64>,
    end: Option<i64>,
    execute_time: Option<f64>,
    has_error: bool,
}

/// A page of rows with the total that was told.
#[derive(Debug, Default)]
struct Rows {
    total: u64,
    rows: Vec<Row>,
}

impl DataArts {
    /// Asks every question, in an order in which each answer helps with the next.
    pub(super) async fn ask_all(&self) -> Vec<Finding> {
        let before = self.client.counts();
        let now = self.client.clock.now().as_millisecond();
        let sample = match self.rows((now - DAY_MILLISECONDS, now), 0, SAMPLE).await {
            Ok(sample) => sample,
            Err(error) => return vec![Finding::of_error("Can it sign in?", error)],
        };
        let count = sample.total.max(sample.rows.len() as u64);
        let signed_in = format!("yes; {count} instances of the last 24 hours can be seen");
        let mut findings = vec![match count {
            0 => {
                Finding::new("Can it sign in?", "yes, but no instance of the last 24 hours can be seen", Grade::Notice)
                    .help("if jobs ran, check \"workspace\": each workspace has instances of its own")
            }
            _ => Finding::new("Can it sign in?", signed_in, Grade::Good),
        }];
        findings.push(self.ask_jobs().await);
        let (span, week) = self.ask_span(now).await;
        findings.push(span);
        let total = week.map_or(count, |week| week.max(count));
        findings.push(self.ask_offset(now, count, total).await);
        findings.push(self.ask_window(&sample.rows).await);
        findings.push(waiting(&sample.rows));
        findings.push(self.note(EXECUTE_TIME, execute_time(&sample.rows)));
        findings.push(self.note(ERROR_MESSAGE, error_message(&sample.rows)));
        findings.push(rate(before, self.client.counts(), self.pace));
        findings
    }

    /// Whether the job list can be read, which rules about jobs need.
    async fn ask_jobs(&self) -> Finding {
        let question = "Can it list the jobs?";
        let mut told = Vec::new();
        for (kind, words) in [("BATCH", "batch"), ("REAL_TIME", "real-time")] {
            let call = Call::get(&["jobs"]).query("jobType", kind).query("limit", 1).query("offset", 0);
            match self.client.json(&call).await {
                Ok(page) => told.push(format!("{} {words} jobs", total_of(&page))),
                Err(error) => return Finding::of_error(question, error),
            }
        }
        Finding::new(question, told.join(", "), Grade::Good)
    }

    /// The longest span that is accepted, and how many instances a span of seven days holds.
    async fn ask_span(&self, now: i64) -> (Finding, Option<u64>) {
        let question = "How long a span may one query ask for?";
        for days in SPANS_DAYS.map(|days| days as i64) {
            match self.rows((now - days * DAY_MILLISECONDS, now), 0, 1).await {
                Ok(page) => {
                    self.remember(SPAN_DAYS, &days.to_string());
                    let answer = format!("{days} days");
                    let grade = if days == 7 { Grade::Good } else { Grade::Notice };
                    let mut found = Finding::new(question, answer, grade);
                    if days < 7 {
                        found = found.help("longer spans are asked for in parts; a lookback up to this needs one");
                    }
                    return (found, Some(page.total));
                }
                // Refused as a request, not as a person: a shorter span may do.
                Err(error) if error.kind == SourceErrorKind::Configuration => {}
                Err(error) => return (Finding::of_error(question, error), None),
            }
        }
        (Finding::new(question, "even one day is refused", Grade::Bad), None)
    }

    async fn ask_offset(&self, now: i64, day: u64, week: u64) -> Finding {
        let question = "What does \"offset\" count?";
        // The end of the window lies in the past, where fewer new instances come up between the two calls.
        let (days, total) = if day >= 6 { (1, day) } else { (i64::from(self.span_days()), week) };
        if total < 4 {
            let answer = "there are too few instances to know";
            return Finding::new(question, answer, Grade::Open).help("it is found out when a list has two pages");
        }
        let limit = usize::try_from(total - 1).unwrap_or(usize::MAX).min(10);
        let window = (now - days * DAY_MILLISECONDS, now);
        let pages = (self.rows(window, 0, limit).await, self.rows(window, 1, limit).await);
        match pages {
            (Ok(first), Ok(second)) => match offset_meaning(&first.rows, &second.rows) {
                Some(meaning) => {
                    *self.meaning() = Some(meaning);
                    self.remember(OFFSET, meaning.as_str());
                    Finding::new(question, meaning.as_str(), Grade::Good)
                }
                None => Finding::new(question, "the answers contradict each other", Grade::Notice)
                    .help("lists longer than one page are read by halving the time they span"),
            },
            (Err(error), _) | (_, Err(error)) => Finding::of_error(question, error),
        }
    }

    async fn ask_window(&self, sample: &[Row]) -> Finding {
        let question = "Does the time window mean plan or start times?";
        let Some((row, plan, start)) = started_late(sample) else {
            let answer = "no instance of the last 24 hours started later than planned, so it cannot be told";
            return Finding::new(question, answer, Grade::Open).help("ask again on a busier day");
        };
        for (at, word) in [(plan, "plan"), (start, "start")] {
            match self.rows((at - 500, at + 500), 0, SAMPLE).await {
                Ok(page) if page.rows.iter().any(|other| other.id == row.id) => {
                    self.remember(WINDOW, word);
                    let found = Finding::new(question, format!("{word} times"), Grade::Good);
                    return match word {
                        "start" => Finding { grade: Grade::Notice, ..found }
                            .help("an instance that waits for long is seen once it starts"),
                        _ => found,
                    };
                }
                Ok(_) => {}
                Err(error) => return Finding::of_error(question, error),
            }
        }
        Finding::new(question, "neither shows a late instance again", Grade::Open)
    }

    /// A page of the instance list between two moments, both included.
    async fn rows(&self, (from, to): (i64, i64), offset: u64, limit: usize) -> Result<Rows, SourceError> {
        let call = Call::get(&["jobs", "instances", "detail"])
            .query("limit", limit)
            .query("maxPlanTime", to)
            .query("minPlanTime", from)
            .query("offset", offset);
        let page = self.client.json(&call).await?;
        let rows = page.root().list("/instances").unwrap_or_default();
        Ok(Rows { total: total_of(&page), rows: rows.iter().map(Row::read).collect() })
    }

    fn span_days(&self) -> u32 {
        u32::try_from(self.query_span_max().as_secs() / 86_400).unwrap_or(1)
    }

    /// A finding with the word to remember it by, remembered.
    fn note(&self, question: &str, (finding, word): (Finding, Option<&str>)) -> Finding {
        if let Some(word) = word {
            self.remember(question, word);
        }
        finding
    }
}

impl Row {
    fn read(item: &Spot<'_>) -> Row {
        let text = |key: &str| item.find(key).and_then(|spot| spot.text()).unwrap_or_default().into_owned();
        let time = |key: &str| item.find(key).and_then(|spot| spot.instant()).map(Timestamp::as_millisecond);
        let execute_time =
            ["/executeTime", "/exeTime", "/execute_time"].iter().find_map(|key| text(key).parse::<f64>().ok());
        Row {
            id: format!("{} {}", text("/jobName"), text("/instanceId")),
            status: text("/status"),
            plan: time("/planTime"),
            start: time("/startTime"),
            end: time("/endTime"),
            execute_time,
            has_error: !text("/errorMessage").trim().is_empty(),
        }
    }
}

/// How many rows the list has by the service's word.
fn total_of(page: &Json) -> u64 {
    page.root().find("/total").and_then(|spot| spot.count()).unwrap_or_default()
}

/// What two pages of the same limit show, one asked for with the offset 0 and one with 1: moved by one record, they
/// share all rows but one; moved by a page, none. A row that came up in between changes each count by one.
fn offset_meaning(first: &[Row], second: &[Row]) -> Option<Meaning> {
    let shared = second.iter().filter(|row| first.iter().any(|other| other.id == row.id)).count();
    match (shared, second.len()) {
        (_, 0) => None,
        (0 | 1, _) => Some(Meaning::Pages),
        (shared, _) if shared + 2 >= first.len() => Some(Meaning::Records),
        _ => None,
    }
}

/// A row whose start lies clearly after its plan time, the latest such start first, with both times.
fn started_late(rows: &[Row]) -> Option<(&Row, i64, i64)> {
    let late = rows.iter().filter_map(|row| row.plan.zip(row.start).map(|(plan, start)| (row, plan, start)));
    late.filter(|(_, plan, start)| start - plan >= TELLING_MILLISECONDS).max_by_key(|(_, plan, start)| start - plan)
}

fn waiting(rows: &[Row]) -> Finding {
    let question = "Are waiting instances listed?";
    if rows.iter().any(|row| row.status == "waiting") {
        return Finding::new(question, "yes", Grade::Good);
    }
    Finding::new(question, "none was waiting just now", Grade::Open)
        .help("rules about waiting instances need them; ask again while one waits")
}

/// The unit of `executeTime`, by the majority of the rows that can tell.
fn execute_time(rows: &[Row]) -> (Finding, Option<&'static str>) {
    let question = "What unit has \"executeTime\"?";
    let units = [("milliseconds", 1.0, 1000.0), ("seconds", 1000.0, 1.0), ("minutes", 60_000.0, 0.1)];
    let mut votes = [0_u32; 3];
    for row in rows {
        let Some(((start, end), told)) = row.start.zip(row.end).zip(row.execute_time) else { continue };
        let lasted = (end - start) as f64;
        if lasted < TELLING_MILLISECONDS as f64 {
            continue;
        }
        let fits = |(_, unit, slack): &(&str, f64, f64)| (told - lasted / unit).abs() <= slack.max(told * 0.02);
        if let Some(at) = units.iter().position(fits) {
            votes[at] += 1;
        }
    }
    let best = (0..units.len()).max_by_key(|at| votes[*at]).filter(|at| votes[*at] > 0);
    match best {
        Some(at) => {
            let unit = units[at].0;
            (
                Finding::new(question, format!("{unit}; not used, durations are counted from the times"), Grade::Good),
                Some(unit),
            )
        }
        None => (Finding::new(question, "no instance could tell; it is not used", Grade::Open), None),
    }
}

fn error_message(rows: &[Row]) -> (Finding, Option<&'static str>) {
    let question = "Do failed instances say why (\"errorMessage\")?";
    let failed: Vec<&Row> = rows.iter().filter(|row| row.status == "fail").collect();
    match failed.iter().filter(|row| row.has_error).count() {
        _ if failed.is_empty() => (Finding::new(question, "none failed in the last 24 hours", Grade::Open), None),
        0 => {
            let answer = format!("no, none of {} does", failed.len());
            let help = "messages name the failing node and its log instead";
            (Finding::new(question, answer, Grade::Notice).help(help), Some("no"))
        }
        some => (Finding::new(question, format!("yes, {some} of {}", failed.len()), Grade::Good), Some("yes")),
    }
}

fn rate(before: (usize, usize), after: (usize, usize), pace: f64) -> Finding {
    let question = "Does it keep within the rate limit?";
    let made = after.0 - before.0;
    match after.1 - before.1 {
        0 => Finding::new(question, format!("yes: {made} requests at {pace} a second, none refused"), Grade::Good),
        some => {
            Finding::new(question, format!("{some} of {made} requests were refused at {pace} a second"), Grade::Notice)
                .help("lower \"requests_per_second\", or use a key of its own")
        }
    }
}
