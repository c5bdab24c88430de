//! The end of a failing node's log, out of a real server that speaks S3. `tests/setup.sh` installs it (s3rver); where that is
//! not there, this says so and tests nothing.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flate2::Compression;
use flate2::read::GzEncoder;
use nightbell::clock::{Clock as _, SystemClock};
use nightbell::limits::{OBS_AT_ONCE, OBS_GZIP_BYTES_MAX, OBS_TIMEOUT, OBS_UNPACKED_BYTES_MAX};
use nightbell::source::LogEnd;
use nightbell::source::dataarts::Logs;
use rusty_s3::actions::PutObject;
use rusty_s3::{Bucket, Credentials, S3Action as _, UrlStyle};

use super::*;

/// The only account that the server has.
const ACCOUNT: &str = "S3RVER";
const BUCKET: &str = "dlf-log";

struct Storage {
    process: Child,
    endpoint: String,
    directory: tempfile::TempDir,
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

impl Storage {
    /// The server with an empty bucket, where it is installed.
    fn start() -> Option<Storage> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/s3/node_modules/s3rver/bin/s3rver.js");
        if !program.is_file() {
            println!("there is no server that speaks S3: sh tests/setup.sh installs it");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new("node")
            .arg(program)
            .args(["--silent", "--address", "127.0.0.1", "--port", "0", "--configure-bucket", BUCKET, "--directory"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| Some(line.ok()?.rsplit_once("127.0.0.1:")?.1.to_string()));
        let endpoint = format!("http://127.0.0.1:{}", port.expect("the server tells its port"));
        Some(Storage { process, endpoint, directory })
    }

    async fn put(&self, key: &str, body: Vec<u8>, encoding: Option<&str>) {
        let endpoint = self.endpoint.parse().unwrap();
        let bucket = Bucket::new(endpoint, UrlStyle::Path, BUCKET, "ap-southeast-3").unwrap();
        let credentials = Credentials::new(ACCOUNT, ACCOUNT);
        let url = PutObject::new(&bucket, Some(&credentials), key).sign(Duration::from_secs(60));
        let request = reqwest::Client::new().put(url).body(body);
        let request = encoding.iter().fold(request, |request, encoding| request.header("content-encoding", *encoding));
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{key}: {}", answer.text().await.unwrap());
    }

    /// Where the server keeps an object.
    fn file_of(&self, name: &str) -> PathBuf {
        fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.directory.path(), &mut files);
        let is_it =
            |file: &&PathBuf| file.to_string_lossy().contains(name) && file.to_string_lossy().ends_with("_object");
        files.iter().find(is_it).unwrap_or_else(|| panic!("{files:?}")).clone()
    }

    fn logs(&self, secret_key: SecretRef) -> Logs {
        Logs {
            tail: 20,
            endpoint: self.endpoint.clone(),
            region: "ap-southeast-3".into(),
            path_style: true,
            access_key: inline(ACCOUNT),
            secret_key,
            security_token: None,
        }
    }
}

/// A workspace whose clock is the machine's, less so much: the server holds signatures against its own clock.
async fn bench_now(less: SignedDuration) -> (Bench, ManualClock) {
    let clock = ManualClock::at(SystemClock.now() - less);
    let sim = SimWorkspace::start(SimConfig::default(), Arc::new(clock.clone())).await.unwrap();
    (Bench { sim, clock: Arc::new(clock.clone()) }, clock)
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    GzEncoder::new(text.as_bytes(), Compression::default()).read_to_end(&mut out).unwrap();
    out
}

/// A workspace whose run failed in a node with this log, and the error that a look at the run tells.
async fn told(bench: &Bench, source: &DataArts, id: u64, path: &str) -> Option<String> {
    let node = SimNode::ended("load", "Shell", "fail", ago(60), ago(30)).log_path(path);
    bench.sim.put(SimInstance::waiting("etl_orders", id, ago(60)).ended("fail", ago(30)).node(node));
    let detail = source.detail(&an_instance(&id.to_string())).await.unwrap();
    assert_eq!((detail.nodes[0].log_path.as_deref(), detail.log.as_deref()), (Some(path), Some(path)));
    source.with_log(detail.instance.error.as_deref(), path).await.map(|end| end.error).or(detail.instance.error)
}

#[tokio::test]
async fn the_end_of_the_failing_nodes_log_is_told_and_trouble_with_it_costs_nothing() {
    let Some(storage) = Storage::start() else { return };
    let (bench, _) = bench_now(SignedDuration::ZERO).await;
    let source = bench.open(&Settings { logs: Some(storage.logs(inline(ACCOUNT))), ..bench.settings() });
    let log: String = (0..9000).map(|line| format!("line {line} of the load\n")).collect();
    let log = log + "connecting with password=canary-9\nERROR: relation \"ods.orders\" does not exist\n";
    let plain = "job_batch/2026-11-21 08_00_00.000/load/load.job";
    storage.put(plain, log.clone().into_bytes(), None).await;
    storage.put("encoded.job", packed(&log), Some("gzip")).await;
    storage.put("packed.log.gz", packed(&log), None).await;
    storage.put("short.job", b"only line".to_vec(), None).await;
    storage.put("empty.job", Vec::new(), None).await;
    storage.put("huge.job", b"beginning\n".to_vec(), None).await;
    let mut huge = std::fs::OpenOptions::new().write(true).open(storage.file_of("huge.job")).unwrap();
    huge.set_len(2 << 30).unwrap();
    huge.seek(SeekFrom::Start(2 << 30)).unwrap();
    huge.write_all(b"\nits last line\n").unwrap();
    drop(huge);
    // Of so much it works out no checksum.
    std::fs::write(format!("{}.md5", storage.file_of("huge.job").display()), "0").unwrap();
    let mut id = 1;
    let mut tell = async |key: &str| {
        id += 1;
        told(&bench, &source, id, &format!("obs://{BUCKET}/{key}")).await
    };
    for key in [plain, "encoded.job", "packed.log.gz"] {
        let error = tell(key).await.unwrap_or_else(|| panic!("{key}: no log"));
        let lines: Vec<&str> = error.lines().collect();
        assert_eq!(lines.len(), 20, "{key}: {error}");
        assert_eq!(
            lines[17..],
            [
                "line 8999 of the load",
                "connecting with password=<redacted>",
                "ERROR: relation \"ods.orders\" does not exist",
            ],
            "{key}"
        );
    }
    assert_eq!(tell("short.job").await.as_deref(), Some("only line"));
    assert_eq!(tell("huge.job").await.as_deref(), Some("its last line"), "two gigabytes");
    for key in ["empty.job", "missing.job"] {
        assert_eq!(tell(key).await, None, "{key}");
    }
    assert_eq!(told(&bench, &source, 99, "/local/path.log").await, None);
}

#[tokio::test]
async fn a_bucket_that_refuses_is_left_alone_for_an_hour() {
    let Some(storage) = Storage::start() else { return };
    storage.put("load.job", b"the last line\n".to_vec(), None).await;
    let hour = SignedDuration::from_mins(61);
    let (bench, clock) = bench_now(hour).await;
    let secret = storage.directory.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let settings = Settings { logs: Some(storage.logs(SecretRef::File(secret.clone()))), ..bench.settings() };
    let source = bench.open(&settings);
    let path = format!("obs://{BUCKET}/load.job");
    assert_eq!(told(&bench, &source, 1, &path).await, None);
    std::fs::write(&secret, ACCOUNT).unwrap();
    clock.set(clock.now() + hour);
    assert_eq!(told(&bench, &source, 2, &path).await.as_deref(), Some("the last line"));
}

/// A server that takes the request and says nothing holds up no alert: nothing is asked of it for a while.
#[tokio::test]
async fn a_storage_that_hangs_holds_nothing_up_for_long() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", hanging.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = hanging.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            held.push(connection);
        }
    });
    let bench = Bench::start(SimConfig::default()).await;
    let source = bench.open(&Settings { logs: Some(logs_at(endpoint)), ..bench.settings() });
    let node = SimNode::ended("load", "Shell", "fail", ago(60), ago(30)).log_path("obs://b/k");
    bench.sim.put(SimInstance::waiting("etl_orders", 9, ago(60)).ended("fail", ago(30)).node(node));
    assert_eq!(source.detail(&an_instance("9")).await.unwrap().nodes.len(), 1);
    assert_eq!(accepted.load(Ordering::SeqCst), 0, "the nodes wait for no log");
    let begun = Instant::now();
    for id in 1..=5 {
        assert_eq!(told(&bench, &source, id, "obs://b/k").await, None);
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    assert!(begun.elapsed() < OBS_TIMEOUT + Duration::from_secs(4), "{:?}", begun.elapsed());
}

fn logs_at(endpoint: String) -> Logs {
    Logs {
        tail: 20,
        endpoint,
        region: "r".into(),
        path_style: true,
        access_key: inline("ak"),
        secret_key: inline("sk"),
        security_token: None,
    }
}

/// A storage that takes a while for each answer.
struct Slow {
    endpoint: String,
    /// How many requests were answered at once at most, and how many there were.
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    /// Every object is what `object` makes of its key.
    async fn start(takes: Duration, object: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Slow {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let [now, most, asked] = [(); 3].map(|()| Arc::new(AtomicUsize::new(0)));
        let (object, counts) = (Arc::new(object), (Arc::clone(&most), Arc::clone(&asked)));
        let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
            let (object, now, (most, asked)) = (Arc::clone(&object), Arc::clone(&now), counts.clone());
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(takes).await;
                now.fetch_sub(1, Ordering::SeqCst);
                object(request.uri().path().trim_start_matches("/b/"))
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Slow { endpoint, most, asked }
    }
}

/// Thirty jobs fail at once, and two logs are read at a time: who waits for its turn has not found the storage silent.
#[tokio::test]
async fn a_queue_before_a_slow_storage_is_no_silence_of_it() {
    let takes = Duration::from_millis(1500);
    let storage = Slow::start(takes, |key| format!("reading\nERROR: {key} is missing\n").into_bytes()).await;
    let bench = Bench::start(SimConfig::default()).await;
    let source = bench.open(&Settings { logs: Some(logs_at(storage.endpoint.clone())), ..bench.settings() });
    let begun = Instant::now();
    let paths: Vec<String> = (0..6).map(|key| format!("obs://b/k{key}")).collect();
    let read = futures_util::future::join_all(paths.iter().map(|path| source.with_log(Some("exit 1"), path))).await;
    for (key, end) in read.into_iter().enumerate() {
        let tail = format!("reading\nERROR: k{key} is missing");
        assert_eq!(end, Some(LogEnd { error: format!("exit 1\n{tail}"), tail: Some(tail) }));
    }
    // Each takes less than the patience with the storage, and all of them more.
    assert!(begun.elapsed() > OBS_TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(storage.most.load(Ordering::SeqCst), OBS_AT_ONCE);
    assert!(source.with_log(None, "obs://b/later").await.is_some(), "it does not rest");
}

/// What unpacks to more than anybody reads costs neither the alert nor the logs after it.
#[tokio::test]
async fn a_packed_log_that_is_too_large_or_never_ends_is_left_out() {
    let storage = Slow::start(Duration::ZERO, |key| match key {
        // A few kilobytes that unpack to more than is read.
        "bomb.gz" => packed(&"0".repeat(1 << 20)).repeat(usize::try_from(OBS_UNPACKED_BYTES_MAX >> 20).unwrap() + 1),
        "large.gz" => {
            let mut out = Vec::new();
            GzEncoder::new(&vec![7; OBS_GZIP_BYTES_MAX][..], Compression::none()).read_to_end(&mut out).unwrap();
            out
        }
        _ => b"its last line\n".to_vec(),
    })
    .await;
    let bench = Bench::start(SimConfig::default()).await;
    let source = bench.open(&Settings { logs: Some(logs_at(storage.endpoint.clone())), ..bench.settings() });
    for key in ["bomb.gz", "large.gz"] {
        assert_eq!(source.with_log(None, &format!("obs://b/{key}")).await, None, "{key}");
    }
    assert_eq!(source.with_log(None, "obs://b/plain").await.unwrap().tail.as_deref(), Some("its last line"));
    assert_eq!(storage.asked.load(Ordering::SeqCst), 3);
}
