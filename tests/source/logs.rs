//! The end of a failing node's log, out of a real server that speaks S3. `tests/setup.sh` installs it (s3rver); where that is
//! not there, this says so and tests nothing.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flate2::Compression;
use flate2::read::GzEncoder;
use nightbell::clock::{Clock as _, SystemClock};
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
    assert_eq!(detail.nodes[0].log_path.as_deref(), Some(path));
    assert_eq!(detail.nodes[0].log_tail, detail.instance.error, "the node has the end of its log by itself, too");
    detail.instance.error
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
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = hanging.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            held.push(connection);
        }
    });
    let bench = Bench::start(SimConfig::default()).await;
    let logs = Logs {
        tail: 20,
        endpoint,
        region: "r".into(),
        path_style: true,
        access_key: inline("ak"),
        secret_key: inline("sk"),
        security_token: None,
    };
    let source = bench.open(&Settings { logs: Some(logs), ..bench.settings() });
    for id in 1..=5 {
        assert_eq!(told(&bench, &source, id, "obs://b/k").await, None);
    }
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 1);
}

/// Where many alerts begin together, those whose logs wait for a slow bucket are told with the others, and the bucket that does
/// answer is no silent one.
#[tokio::test]
async fn a_slow_storage_is_read_from_for_a_while_and_not_taken_for_a_silent_one() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", slow.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = slow.accept().await {
            tokio::spawn(async move {
                let _ = connection.read(&mut [0; 4096]).await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\nthe last line";
                let _ = connection.write_all(answer.as_bytes()).await;
            });
        }
    });
    let (bench, clock) = bench_now(SignedDuration::ZERO).await;
    let logs = Logs {
        tail: 20,
        endpoint,
        region: "r".into(),
        path_style: true,
        access_key: inline("ak"),
        secret_key: inline("sk"),
        security_token: None,
    };
    let source = bench.open(&Settings { logs: Some(logs), ..bench.settings() });
    // Two are read at once: the last two wait for three seconds and are read for one and a half.
    let told_together = futures_util::future::join_all((1..=6).map(|id| told(&bench, &source, id, "obs://b/k"))).await;
    assert!(told_together.iter().all(|error| error.as_deref() == Some("the last line")), "{told_together:?}");
    // What takes longer together is told without: the nodes are there all the same.
    clock.set(clock.now() + SignedDuration::from_secs(9));
    assert_eq!(told(&bench, &source, 7, "obs://b/k").await, None);
    clock.set(clock.now() + SignedDuration::from_secs(22));
    assert_eq!(told(&bench, &source, 8, "obs://b/k").await.as_deref(), Some("the last line"));
}
