//! The log on its way to stderr.
//!
//! A thread of its own writes the lines, from a queue of bounded length: a pipe that nobody reads, or a disk that hangs,
//! must not keep anybody from being told that a job failed. Lines that find the queue full are dropped and counted. A
//! line is one line: what foreign text in it could do to a terminal or to a reader of lines is taken out.

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_LINES_QUEUED_MAX};
use crate::template::display_text;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people; in colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// The queue of the running program's log.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Logs go to stderr, filtered by `filter`; a filter that cannot be read is replaced by `info`, and what is wrong with it
/// comes back.
pub(super) fn start(filter: &str, format: LogFormat) -> Option<String> {
    let (filter, fault) = match EnvFilter::try_new(filter) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(format!("--log {filter:?}: {error}; logging at info"))),
    };
    let queue = QUEUE.get_or_init(|| Queue::to(io::stderr(), format));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| queue.clone()).with_target(false);
    // A second start (tests) keeps the first.
    let started = match format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Human => builder
            .with_ansi(is_coloured(io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref()))
            .try_init(),
    };
    drop(started);
    fault
}

/// Colours are for a terminal whose owner has not said `NO_COLOR` (no-color.org): set to anything, as long as it is
/// something.
fn is_coloured(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Waits until what was logged is written, at most for `patience`.
pub(super) fn flush(patience: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.wait(patience);
    }
}

/// Takes lines without ever waiting.
#[derive(Clone)]
struct Queue {
    lines: SyncSender<Vec<u8>>,
    counts: Arc<Counts>,
    format: LogFormat,
}

#[derive(Default)]
struct Counts {
    /// Lines taken that are not written yet.
    queued: AtomicU64,
    /// Lines dropped that nobody was told of yet.
    dropped: AtomicU64,
}

impl Queue {
    /// A queue with a thread that writes to `target`.
    fn to(target: impl Write + Send + 'static, format: LogFormat) -> Queue {
        let (lines, taken) = sync_channel(LOG_LINES_QUEUED_MAX);
        let counts = Arc::<Counts>::default();
        let shared = Arc::clone(&counts);
        // Without the thread the queue fills and lines are dropped: the program does its work all the same.
        drop(std::thread::Builder::new().name("log".into()).spawn(move || write_all(&taken, &shared, target, format)));
        Queue { lines, counts, format }
    }

    fn wait(&self, patience: Duration) {
        let began = Instant::now();
        while self.counts.queued.load(Ordering::Acquire) > 0 && began.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Write for Queue {
    /// Takes one event, as the formatter hands it over.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.counts.queued.fetch_add(1, Ordering::AcqRel);
        if self.lines.try_send(one_line(event, self.format)).is_err() {
            self.counts.queued.fetch_sub(1, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::AcqRel);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is taken until the program ends. An error leaves nobody to tell.
fn write_all(taken: &Receiver<Vec<u8>>, counts: &Counts, mut target: impl Write, format: LogFormat) {
    for line in taken {
        drop(target.write_all(&line));
        let dropped = counts.dropped.swap(0, Ordering::AcqRel);
        if dropped > 0 {
            let text = format!("{dropped} log lines were dropped: nobody read them");
            drop(match format {
                LogFormat::Human => writeln!(target, "WARN {text}"),
                LogFormat::Json => {
                    writeln!(target, "{}", serde_json::json!({ "level": "WARN", "fields": { "message": text } }))
                }
            });
        }
        counts.queued.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An event as one line of bounded length.
fn one_line(event: &[u8], format: LogFormat) -> Vec<u8> {
    let text = String::from_utf8_lossy(event);
    let text = text.trim_end_matches('\n');
    let mut line = match format {
        // JSON has its own escapes, and half an object is none.
        LogFormat::Json => text.to_string(),
        LogFormat::Human => {
            let end = text.floor_char_boundary(LOG_LINE_BYTES_MAX);
            let cut = if end < text.len() { " [cut]" } else { "" };
            // The formatter's own colours stay; it escapes those that come from elsewhere.
            let parts: Vec<String> = text[..end].split('\u{1b}').map(display_text).collect();
            parts.join("\u{1b}") + cut
        }
    };
    line.push('\n');
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// A pipe that is read only once it is opened.
    #[derive(Clone, Default)]
    struct Pipe(Arc<(Mutex<Inside>, Condvar)>);

    #[derive(Default)]
    struct Inside {
        is_open: bool,
        bytes: Vec<u8>,
    }

    impl Pipe {
        fn open(&self) {
            self.0.0.lock().unwrap().is_open = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().bytes.clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.1.wait_while(self.0.0.lock().unwrap(), |inner| !inner.is_open).unwrap();
            inner.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_nobody_waiting_and_says_what_it_dropped() {
        let pipe = Pipe::default();
        let mut queue = Queue::to(pipe.clone(), LogFormat::Human);
        let count = LOG_LINES_QUEUED_MAX + 100;
        for number in 0..count {
            queue.write_all(format!("line {number}\n").as_bytes()).unwrap();
        }
        pipe.open();
        queue.wait(Duration::from_secs(60));
        let text = pipe.text();
        let written = text.lines().filter(|line| line.starts_with("line ")).count();
        assert!((LOG_LINES_QUEUED_MAX..count).contains(&written), "{written}");
        assert!(text.contains(&format!("WARN {} log lines were dropped", count - written)), "{}", &text[..200]);
    }

    #[test]
    fn colours_are_for_terminals_whose_owner_has_not_said_no() {
        for (is_terminal, no_color, expected) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (true, Some("0"), false),
            (false, None, false),
        ] {
            assert_eq!(is_coloured(is_terminal, no_color.map(OsStr::new)), expected, "{is_terminal} {no_color:?}");
        }
    }

    #[test]
    fn foreign_text_makes_no_second_line() {
        let table = [
            ("job a\n{\"level\":\"INFO\"}\r\n", "job a {\"level\":\"INFO\"} \n"),
            ("\u{1b}[31mred\u{1b}[0m \u{202e}drow\u{7}\n", "\u{1b}[31mred\u{1b}[0m drow\u{fffd}\n"),
        ];
        for (event, line) in table {
            assert_eq!(String::from_utf8(one_line(event.as_bytes(), LogFormat::Human)).unwrap(), line);
        }
        let long = "é".repeat(LOG_LINE_BYTES_MAX);
        let line = one_line(long.as_bytes(), LogFormat::Human);
        assert!(line.len() < LOG_LINE_BYTES_MAX + 10 && line.ends_with(b" [cut]\n"));
    }
}
