//! The end of a failing node's log, which DataArts keeps in OBS: its last bytes, by OBS's S3-compatible API.
//!
//! Reads one object for each run that alerts, and writes nothing. It is for convenience: whatever goes wrong costs a line in
//! the debug log and no alert, is bounded in bytes, in time and in how many go side by side, and a bucket that refuses or
//! hangs is left alone for a while. What is read is foreign text, from which others cut out secrets. It must never
//! know what a log says.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderValue, RANGE};
use reqwest::{Method, Request, Url};
use rusty_s3::actions::{GetObject, S3Action as _};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use tokio::sync::Semaphore;

use super::settings::Logs;
use crate::clock::Clock;
use crate::http::{BodyEnd, HttpClient, HttpSettings, Outgoing, Response};
use crate::limits::{OBS_AT_ONCE, OBS_GZIP_BYTES_MAX, OBS_TAIL_BYTES, OBS_TIMEOUT, OBS_UNPACKED_BYTES_MAX};
use crate::lock::locked;
use crate::model::SourceId;
use crate::secret::Secrets;
use crate::source::contract::SourceError;
use crate::source::kit::fault::{from_http, resolved};

/// How long a signature holds; a request that takes longer has failed anyway.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// How long a bucket that refuses is left alone, and one that does not answer.
const REFUSED_FOR: SignedDuration = SignedDuration::from_hours(1);
const SILENT_FOR: SignedDuration = SignedDuration::from_mins(5);

/// The logs of one workspace.
pub(super) struct LogReader {
    settings: Logs,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    /// Until when nothing is asked.
    rests_until: Mutex<Option<Timestamp>>,
}

/// Why there is no end of a log.
struct Trouble {
    why: String,
    /// For how long nobody asks again.
    rest: Option<SignedDuration>,
}

fn trouble(why: impl Into<String>, rest: Option<SignedDuration>) -> Trouble {
    Trouble { why: why.into(), rest }
}

/// Which part of an object is asked for.
#[derive(Clone, Copy)]
enum Part {
    /// All of it.
    Whole,
    /// The last bytes.
    Last,
    /// From one byte to another.
    Between(u64, u64),
}

/// The place of the bytes of an answer in the object.
struct Span {
    from: u64,
    to: u64,
    size: u64,
}

impl LogReader {
    /// A reader by these settings; nothing is asked yet.
    ///
    /// # Errors
    /// [`crate::source::SourceErrorKind::Configuration`] when the `ca_file` cannot be used.
    pub(super) fn open(
        settings: Logs,
        ca_file: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Result<LogReader, SourceError> {
        let http = HttpClient::new(&HttpSettings { ca_file, client_cert: None }).map_err(|error| from_http(&error))?;
        let (permits, rests_until) = (Semaphore::new(OBS_AT_ONCE), Mutex::new(None));
        Ok(LogReader { settings, http, clock, permits, rests_until })
    }

    /// How many lines are wanted.
    pub(super) fn lines(&self) -> usize {
        self.settings.tail
    }

    /// The last lines of the log at `path`, the oldest first; none where they cannot be had.
    pub(super) async fn tail(&self, source: &SourceId, path: &str) -> Vec<String> {
        if self.rests() {
            return Vec::new();
        }
        // Who waits for its turn waits for this program, and not for the bucket: that is outside of what the bucket may take.
        let Ok(_permit) = self.permits.acquire().await else { return Vec::new() };
        // One that was served meanwhile may have found that nobody answers.
        if self.rests() {
            return Vec::new();
        }
        let now = self.clock.now();
        let late = || trouble("no answer in time", Some(SILENT_FOR));
        let read = tokio::time::timeout(OBS_TIMEOUT, self.read(path, now)).await;
        match read.unwrap_or_else(|_| Err(late())) {
            Ok(text) => {
                let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
                // What is cut out or empty makes room for as many again.
                lines.drain(..lines.len().saturating_sub(4 * self.settings.tail));
                lines
            }
            Err(Trouble { why, rest }) => {
                tracing::debug!(%source, path, "no log from OBS: {why}");
                let until = rest.and_then(|rest| now.checked_add(rest).ok());
                let mut rests_until = locked(&self.rests_until);
                *rests_until = (*rests_until).max(until);
                Vec::new()
            }
        }
    }

    /// Whether nothing is asked just now.
    fn rests(&self) -> bool {
        locked(&self.rests_until).is_some_and(|until| self.clock.now() < until)
    }

    async fn read(&self, path: &str, now: Timestamp) -> Result<String, Trouble> {
        let (bucket, key) = object_of(path).ok_or_else(|| trouble("it is no obs://bucket/key", None))?;
        if key.ends_with(".gz") {
            let packed = self.get(bucket, key, Part::Whole, now).await?;
            return unpacked(packed.body()).map(|bytes| text_of(&bytes, true));
        }
        let mut answer = self.get(bucket, key, Part::Last, now).await?;
        let mut span = span_of(&answer);
        // A server that does not know of the last bytes gives others, and says how many there are.
        if let Some(Span { size, .. }) = span.take_if(|span| span.to + 1 != span.size) {
            let from = size.saturating_sub(OBS_TAIL_BYTES as u64);
            answer = self.get(bucket, key, Part::Between(from, size.saturating_sub(1)), now).await?;
            span = span_of(&answer);
        }
        // The middle of what was packed on its way cannot be read; as a whole the client unpacks it.
        if let (BodyEnd::Broken(_), Some(Span { size, .. })) = (&answer.end, &span)
            && *size <= OBS_GZIP_BYTES_MAX as u64
        {
            answer = self.get(bucket, key, Part::Whole, now).await?;
            span = None;
        }
        if let BodyEnd::Broken(error) = &answer.end {
            return Err(trouble(error.to_string(), None));
        }
        let begins = span.is_none_or(|span| span.from == 0) && answer.body().len() <= OBS_TAIL_BYTES;
        Ok(text_of(answer.body(), begins))
    }

    /// A part of an object.
    async fn get(&self, bucket: &str, key: &str, part: Part, now: Timestamp) -> Result<Response, Trouble> {
        let outgoing = self.request(bucket, key, part, now)?;
        let answer = match part {
            // What is packed must be read from its beginning.
            Part::Whole if key.ends_with(".gz") => self.http.send(outgoing, OBS_TIMEOUT, OBS_GZIP_BYTES_MAX).await,
            // A server that knows of no ranges sends everything, of which the end is kept.
            _ => self.http.send_for_end(outgoing, OBS_TIMEOUT, OBS_TAIL_BYTES).await,
        };
        let answer = answer.map_err(|error| trouble(error.to_string(), Some(SILENT_FOR)))?;
        match answer.status {
            200 | 206 if answer.end == BodyEnd::TooLong => Err(trouble("it is too large to be read", None)),
            200 | 206 => Ok(answer),
            404 => Err(trouble(format!("404: {}", answer.excerpt()), None)),
            // Nothing is in it.
            416 => Err(trouble("it is empty", None)),
            status @ (401 | 403) => Err(trouble(format!("{status}: {}", answer.excerpt()), Some(REFUSED_FOR))),
            status => Err(trouble(format!("{status}: {}", answer.excerpt()), Some(SILENT_FOR))),
        }
    }

    /// The request, signed by its address, which therefore is a secret for a minute.
    fn request(&self, bucket: &str, key: &str, part: Part, now: Timestamp) -> Result<Outgoing, Trouble> {
        let Logs { endpoint, region, path_style, access_key, secret_key, security_token, .. } = &self.settings;
        let refused = |error: SourceError| trouble(error.to_string(), Some(SILENT_FOR));
        let access = resolved("logs.access_key", access_key).map_err(refused)?;
        let secret = resolved("logs.secret_key", secret_key).map_err(refused)?;
        let token = security_token.as_ref().map(|token| resolved("logs.security_token", token)).transpose();
        let token = token.map_err(refused)?;
        let mut secrets = Secrets::new();
        secrets.push(&access);
        secrets.push(&secret);
        let credentials = match &token {
            Some(token) => {
                secrets.push(token);
                Credentials::new_with_token(access.expose(), secret.expose(), token.expose())
            }
            None => Credentials::new(access.expose(), secret.expose()),
        };
        let style = if *path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint: Url = endpoint.parse().map_err(|_| trouble("the endpoint is no address", Some(REFUSED_FOR)))?;
        let bucket = Bucket::new(endpoint, style, bucket.to_string(), region.clone())
            .map_err(|error| trouble(error.to_string(), None))?;
        let url = GetObject::new(&bucket, Some(&credentials), key).sign_with_time(SIGNED_FOR, &now);
        let mut request = Request::new(Method::GET, url);
        let range = match part {
            Part::Whole => None,
            Part::Last => Some(format!("bytes=-{OBS_TAIL_BYTES}")),
            Part::Between(from, to) => Some(format!("bytes={from}-{to}")),
        };
        if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
            request.headers_mut().insert(RANGE, range);
        }
        Ok(Outgoing::new(request, secrets))
    }
}

/// Bucket and key of `obs://bucket/key`.
fn object_of(path: &str) -> Option<(&str, &str)> {
    let (bucket, key) = path.strip_prefix("obs://")?.split_once('/')?;
    let is_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (!bucket.is_empty() && bucket.chars().all(is_bucket) && !key.is_empty()).then_some((bucket, key))
}

/// What `Content-Range` says: `bytes 10-19/20`.
fn span_of(answer: &Response) -> Option<Span> {
    let header = answer.header("content-range")?;
    let (span, size) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = span.split_once('-')?;
    Some(Span { from: from.parse().ok()?, to: to.parse().ok()?, size: size.parse().ok()? })
}

/// The last bytes of what is packed; what says of itself to be packed and is not stays as it is.
fn unpacked(packed: &[u8]) -> Result<Vec<u8>, Trouble> {
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return Ok(packed.to_vec());
    }
    let (mut tail, mut seen) = (Vec::new(), 0);
    let mut reader = MultiGzDecoder::new(packed).take(OBS_UNPACKED_BYTES_MAX);
    let mut chunk = [0_u8; 16 << 10];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                seen += read as u64;
                tail.extend_from_slice(&chunk[..read]);
                tail.drain(..tail.len().saturating_sub(OBS_TAIL_BYTES));
            }
            Err(error) => return Err(trouble(format!("it cannot be unpacked: {error}"), None)),
        }
    }
    // Its end was not seen, and something else would be taken for it.
    if seen >= OBS_UNPACKED_BYTES_MAX {
        return Err(trouble("it is too large to be unpacked", None));
    }
    Ok(tail)
}

/// The bytes as text; where they do not begin with the object, the first line is a part of one.
fn text_of(bytes: &[u8], begins: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.split_once('\n') {
        Some((_, rest)) if !begins => rest.to_string(),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_buckets_and_keys() {
        let table = [
            (
                "obs://dlf-test-log/job_batch/2019-03-04 11_53_00.000/error/error.job",
                Some(("dlf-test-log", "job_batch/2019-03-04 11_53_00.000/error/error.job")),
            ),
            ("obs://b.c/k", Some(("b.c", "k"))),
            ("obs://bucket/", None),
            ("obs://bucket", None),
            ("obs:///key", None),
            ("obs://evil.example:80@x/key", None),
            ("s3://bucket/key", None),
            ("/local/file", None),
        ];
        for (path, expected) in table {
            assert_eq!(object_of(path), expected, "{path}");
        }
    }

    #[test]
    fn a_line_that_was_cut_is_left_out() {
        assert_eq!(text_of(b"half\nwhole\n", false), "whole\n");
        assert_eq!(text_of(b"first\nsecond", true), "first\nsecond");
        assert_eq!(text_of(b"one line without an end", false), "one line without an end");
        assert_eq!(text_of(b"\xff\xfebroken\n", true), "\u{fffd}\u{fffd}broken\n");
    }
}
