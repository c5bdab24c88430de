//! The jobs of a workspace: the list of both kinds, and the status of a real-time job with its nodes.
//!
//! # Design
//! The list has no time window that could be halved, and its `offset` is as unclear as the other list's: it counts
//! records or pages. The second request, `offset=1`, shows which: it brings all rows of the first page but one again, or
//! none of them. From then on each page begins where what was read ends. The rows are counted against `total`, and a list
//! that is cut short is an error. A row without a name that can be used may be of any job: with one in it, that a job is
//! missing from the list proves nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer;
use super::record::{Key, Record};
use super::workspace::DataArts;
use crate::http::snippet;
use crate::limits::{JOB_PAGE_RECORDS, JOB_PAGES_MAX};
use crate::model::{Job, JobList, JobStatus, Node, SourceId, Status};
use crate::source::contract::{SourceError, SourceErrorKind};
use crate::source::kit::Call;
use crate::source::kit::fault::bad_answer;
use crate::source::kit::paging::Meaning;
use crate::source::kit::text::{checked_text, cut, no_json};

/// A page of the job list.
#[derive(Debug)]
struct Page {
    total: Option<usize>,
    len: usize,
    jobs: Vec<Job>,
    /// Items without a name that can be used: nobody can ask after such a job.
    nameless: usize,
}

impl DataArts {
    /// All jobs of both kinds.
    pub(super) async fn read_jobs(&self) -> Result<JobList, SourceError> {
        let mut all = self.jobs_of(false).await?;
        let mut streams = self.jobs_of(true).await?;
        self.streams.take(&streams.jobs, self.client.clock.now()).await;
        all.jobs.append(&mut streams.jobs);
        all.shortfall = all.shortfall.or(streams.shortfall);
        Ok(all)
    }

    /// All jobs of one kind.
    pub(super) async fn jobs_of(&self, is_real_time: bool) -> Result<JobList, SourceError> {
        let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
        let first = self.job_page(is_real_time, 0).await?;
        let (total, page_len) = (first.total, first.len);
        let (mut read, mut nameless, mut pages, mut has_ended) = (page_len, first.nameless, 1, page_len == 0);
        jobs.extend(first.jobs.into_iter().map(|job| (job.name.clone(), job)));
        while !has_ended && total.is_none_or(|total| read < total) && pages < JOB_PAGES_MAX {
            let meaning = *self.meaning();
            let offset = match meaning {
                Some(Meaning::Records) => read,
                // Where it is not known, the page with the offset 1 shows it.
                Some(Meaning::Pages) | None => pages,
            };
            let page = self.job_page(is_real_time, offset).await?;
            let known = page.jobs.iter().filter(|job| jobs.contains_key(&job.name)).count();
            // Without a total, the page that brings nothing new is behind the last.
            has_ended = page.len == 0 || total.is_none() && known == page.jobs.len();
            let shows = known > 1 || known < page.jobs.len();
            if meaning.is_none() && shows {
                let learnt = if known > 1 { Meaning::Records } else { Meaning::Pages };
                *self.meaning() = Some(learnt);
                if learnt == Meaning::Records {
                    // It has brought one row; the next page begins behind it.
                    jobs.extend(page.jobs.into_iter().map(|job| (job.name.clone(), job)));
                    read += 1;
                    continue;
                }
            }
            pages += 1;
            read += page.len;
            nameless += page.nameless;
            jobs.extend(page.jobs.into_iter().map(|job| (job.name.clone(), job)));
        }
        let short = |of: String| {
            let message = format!("{} of {of} jobs could be read", jobs.len());
            SourceError::new(SourceErrorKind::BadAnswer, message)
                .help("the next poll tries again; ask `nightbell doctor` if it stays")
        };
        match total {
            Some(total) if jobs.len() + nameless < total => Err(short(total.to_string())),
            None if !has_ended => Err(short("more".to_string())),
            _ => Ok(JobList {
                shortfall: (nameless > 0).then(|| "a row of it has no name that can be used".to_string()),
                jobs: jobs.into_values().collect(),
            }),
        }
    }

    async fn job_page(&self, is_real_time: bool, offset: usize) -> Result<Page, SourceError> {
        let call = Call::get(&["jobs"])
            .query("jobType", if is_real_time { "REAL_TIME" } else { "BATCH" })
            .query("limit", JOB_PAGE_RECORDS)
            .query("offset", offset);
        read_page(&self.id, is_real_time, &self.client.body(&call).await?).map_err(bad_answer)
    }

    /// The nodes of a real-time job.
    pub(super) async fn read_job_nodes(&self, name: &str) -> Result<Vec<Node>, SourceError> {
        read_nodes(&self.client.body(&Call::get(&["jobs", name, "status"])).await?).map_err(bad_answer)
    }
}

fn read_page(source: &SourceId, is_real_time: bool, body: &[u8]) -> Result<Page, String> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        total: Option<&'a RawValue>,
        #[serde(borrow)]
        jobs: Option<Vec<Record<'a>>>,
    }
    let text = checked_text(body)?;
    let whole: Whole<'_> = serde_json::from_str(&text).map_err(|error| no_json(&text, &error))?;
    let total = whole.total.and_then(|raw| raw.get().trim_matches('"').parse().ok());
    let records = match whole.jobs {
        Some(records) => records,
        None if total == Some(0) => Vec::new(),
        None => return Err(format!("no list of jobs in the answer: {}", snippet(&text))),
    };
    let jobs: Vec<Job> = records.iter().filter_map(|record| read_job(source, is_real_time, record)).collect();
    Ok(Page { total, len: records.len(), nameless: records.len() - jobs.len(), jobs })
}

/// A job; `None` without a name that can be used. One whose status cannot be read is there all the same.
fn read_job(source: &SourceId, is_real_time: bool, record: &Record<'_>) -> Option<Job> {
    if record.wrong.is_some() || record.is_broken(Key::Name) {
        return None;
    }
    let text = |key| record.text(key).filter(|text| !text.is_empty()).map(cut);
    let raw_status = text(Key::Status).unwrap_or_default();
    Some(Job {
        source: source.clone(),
        name: text(Key::Name)?,
        is_real_time,
        status: status(&raw_status),
        raw_status,
        owner: text(Key::Owner),
        create_user: text(Key::CreateUser),
        start_time: record.time(Key::StartTime),
        end_time: record.time(Key::EndTime),
        last_instance_status: text(Key::LastInstanceStatus),
        last_instance_end_time: record.time(Key::LastInstanceEndTime),
    })
}

/// What a status word of a job means.
fn status(word: &str) -> JobStatus {
    match word.to_ascii_uppercase().as_str() {
        // How an older page spells it.
        "STARTTING" => JobStatus::Starting,
        "PAUSE" => JobStatus::Paused,
        "DISABLED" => JobStatus::Disable,
        word => JobStatus::from_word(word).unwrap_or(JobStatus::Unknown),
    }
}

fn read_nodes(body: &[u8]) -> Result<Vec<Node>, String> {
    let text = checked_text(body)?;
    let record: Record<'_> = serde_json::from_str(&text).map_err(|error| no_json(&text, &error))?;
    if let Some(wrong) = record.wrong {
        return Err(format!("{wrong}: {}", snippet(&text)));
    }
    let nodes = match record.raw(Key::Nodes) {
        Some(raw) => {
            serde_json::from_str::<Vec<Record<'_>>>(raw).map_err(|_| "its nodes are not a list".to_string())?
        }
        None => Vec::new(),
    };
    Ok(nodes.iter().filter(|node| node.wrong.is_none()).map(read_node).collect())
}

/// A node of a real-time job: its status word is one of jobs.
fn read_node(record: &Record<'_>) -> Node {
    let node = answer::read_node(record);
    let name = record.text(Key::Name).or(record.text(Key::NodeName)).map_or(node.name, cut);
    let status = match status(&node.raw_status) {
        JobStatus::Exception | JobStatus::Abnormal => Status::Fail,
        JobStatus::Normal | JobStatus::Starting | JobStatus::Stopping | JobStatus::Scheduling => Status::Running,
        JobStatus::Stopped => Status::ManualStop,
        JobStatus::Paused => Status::Pause,
        JobStatus::Init => Status::Waiting,
        JobStatus::Disable | JobStatus::Overload | JobStatus::Unknown => node.status,
    };
    Node { name, status, ..node }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Page, String> {
        read_page(&"warehouse".into(), false, body.as_bytes())
    }

    #[test]
    fn the_documents_example_is_read() {
        let page = read(include_str!("../../../tests/data/dataarts/jobs.json")).unwrap();
        assert_eq!((page.total, page.len, page.jobs.len()), (Some(1), 1, 1));
        let job = &page.jobs[0];
        assert_eq!((job.name.as_str(), job.status), ("myJob", JobStatus::Scheduling));
        assert_eq!((job.create_user.as_deref(), job.owner.as_deref()), (Some("test_user"), None));
        assert_eq!(job.last_instance_status.as_deref(), Some("success"));
        assert_eq!(job.last_instance_end_time.map(|time| time.as_millisecond()), Some(1_682_519_407_000));
    }

    #[test]
    fn every_status_word_of_a_job_has_its_meaning() {
        for status_of in JobStatus::ALL {
            assert_eq!(status(status_of.as_str()), status_of);
            assert_eq!(status(&status_of.as_str().to_lowercase()), status_of);
        }
        for (word, expected) in
            [("STARTTING", JobStatus::Starting), ("PAUSE", JobStatus::Paused), ("EXPLODED", JobStatus::Unknown)]
        {
            assert_eq!(status(word), expected, "{word}");
        }
    }

    #[test]
    fn nameless_jobs_are_left_out_and_what_is_no_list_is_an_error() {
        let page = read(r#"{"total":"4","jobs":[{"name":"a"},{"status":"NORMAL"},7,{"name":"b","status":"WEIRD"}]}"#);
        let page = page.unwrap();
        assert_eq!((page.total, page.len, page.nameless), (Some(4), 4, 2));
        let told: Vec<_> =
            page.jobs.iter().map(|job| (job.name.as_str(), job.status, job.raw_status.as_str())).collect();
        assert_eq!(told, [("a", JobStatus::Unknown, ""), ("b", JobStatus::Unknown, "WEIRD")]);
        for body in ["", "<html>", "[]", "{}", r#"{"total":1}"#, r#"{"jobs":"#] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn the_nodes_of_a_job_s_status_are_read() {
        let body = r#"{"name":"s","status":"EXCEPTION","nodes":[
            {"name":"in","status":"NORMAL","type":"MRSFlinkJob","LastInstanceStatus":"success"},
            {"name":"out","status":"EXCEPTION","logPath":"obs://log/a b"}, 7]}"#;
        let nodes = read_nodes(body.as_bytes()).unwrap();
        let told: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.status)).collect();
        assert_eq!(told, [("in", Status::Running), ("out", Status::Fail)]);
        assert_eq!(nodes[1].log_path.as_deref(), Some("obs://log/a b"));
    }
}
