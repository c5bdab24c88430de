//! How long the pages, the API and a scrape take with a large store against a small one: the real binary, asked over loopback.
//!
//! The small store has 1,000 runs and twice as many alerts as the night reads at most, of which half have ended, so that
//! pages draw the same; the large one 1,000,000 runs over 25 days and 20,000 alerts, of which three in four have ended. Each
//! has messages that are pending, dead letters, silences and what people did. There are no digests in them: nobody sends
//! thousands. Who asks may see everything; some pages are asked for once more by who may see half of it, by its labels. The bar is a ratio of 3: it fails when a page misses it, unless that takes no longer than a few
//! milliseconds, which are no more than noise.
//! `cargo bench --bench pages`; for a quicker look with fewer, `cargo bench --bench pages -- RUNS ALERTS`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench reports on stdout and panics when it is broken")]

mod large;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nightbell::clock::{Clock as _, SystemClock};
use nightbell::limits::NIGHT_ALERTS_MAX;
use nightbell::sim::SimInstance;
use nightbell::store::{Archive as _, Mode, SqlStore};

use large::{JOBS, Running, TOKEN, fill, job_of, nightbell, run, workspace};

/// How often each page is asked for.
const TIMES: usize = 21;
/// So many times as long may it take with the large store, and what is no matter.
const BAR: f64 = 3.0;
const NOISE_MS: f64 = 5.0;

/// What is asked for: what it is called, and its address. `ALERT` stands for an alert's id, `DELIVERY` for that of a dead
/// letter, `JOB` for a job's name.
const PAGES: [(&str, &str); 31] = [
    ("night", "/"),
    ("wall", "/wall"),
    ("alerts", "/alerts"),
    ("ended alerts", "/alerts?state=resolved"),
    ("suspended", "/alerts?state=suspended"),
    ("alert", "/alerts/ALERT"),
    ("jobs", "/jobs"),
    ("job", "/jobs/s/JOB"),
    ("explain", "/explain?subject=JOB"),
    ("deliveries", "/deliveries"),
    ("pending", "/deliveries?state=pending"),
    ("dead letters", "/deliveries?state=dead"),
    ("of a receiver", "/deliveries?receiver=r"),
    ("delivery", "/deliveries/DELIVERY"),
    ("silences", "/silences"),
    ("status", "/status"),
    ("API alerts", "/api/v1/alerts?limit=100"),
    ("API alert", "/api/v1/alerts/ALERT"),
    ("API ended", "/api/v1/alerts?state=resolved&limit=100"),
    ("API by severity", "/api/v1/alerts?severity=error&limit=100"),
    ("API, none of it", "/api/v1/alerts?severity=info&limit=100"),
    ("API night", "/api/v1/night?limit=100"),
    ("API night, 48 h", "/api/v1/night?hours=48&limit=500"),
    ("API jobs", "/api/v1/jobs?source=s&limit=20"),
    ("API explain", "/api/v1/explain?subject=JOB"),
    ("API deliveries", "/api/v1/deliveries?state=dead&limit=100"),
    ("API status", "/api/v1/status"),
    ("API actions", "/api/v1/actions"),
    ("API instances", "/api/v1/jobs/s/JOB/instances?limit=100"),
    ("API calendar", "/api/v1/jobs/s/JOB/calendar"),
    ("metrics", "/metrics"),
];

/// What is asked for by who may see half of it.
const SCOPED: [(&str, &str); 7] = [
    ("night, half", "/"),
    ("alerts, half", "/alerts"),
    ("ended, half", "/alerts?state=resolved"),
    ("deliveries, half", "/deliveries"),
    ("API night, half", "/api/v1/night?limit=100"),
    ("API alerts, half", "/api/v1/alerts?limit=100"),
    ("API status, half", "/api/v1/status"),
];

/// A store of some size, and the program that serves it.
struct Served {
    _program: Running,
    port: u16,
    alert: String,
    delivery: String,
    /// Who may see and do everything, and who may see half of it.
    whole: reqwest::Client,
    half: reqwest::Client,
}

fn main() {
    nightbell::http::install_crypto();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(compare());
}

async fn compare() {
    let (small, large) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let asked_for: Vec<u64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let (runs, alerts) = (asked_for.first().copied().unwrap_or(1_000_000), asked_for.get(1).copied().unwrap_or(20_000));
    let began = Instant::now();
    let few = NIGHT_ALERTS_MAX as u64;
    let few_alerts = 2 * few;
    let sizes = [(1_000, few_alerts, few, 100), (runs, alerts, alerts / 4 * 3, 400)];
    let [of_small, of_large] = sizes.map(|(runs, alerts, ended, deeds)| Size { runs, alerts, ended, deeds });
    let served = [serve(small.path(), &of_small).await, serve(large.path(), &of_large).await];
    let made = began.elapsed().as_secs();
    println!("1,000 runs and {few_alerts} alerts against {runs} and {alerts}, made in {made} s");
    println!("{:<16} {:>9} {:>9} {:>6} {:>9}  (medians in ms; bar {BAR})", "", "small", "large", "ratio", "bytes");
    let mut missed = Vec::new();
    let whole = PAGES.map(|(name, path)| (name, path, true));
    for (name, path, is_whole) in whole.into_iter().chain(SCOPED.map(|(name, path)| (name, path, false))) {
        let (mut times, mut bytes) = ([Vec::new(), Vec::new()], 0);
        for _ in 0..TIMES {
            for (times, served) in times.iter_mut().zip(&served) {
                let client = if is_whole { &served.whole } else { &served.half };
                let (took, size) = asked(served, client, path).await;
                times.push(took);
                bytes = size;
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        let [few, many] = times.map(|times| times[times.len() / 2]);
        println!("{name:<16} {few:>9.2} {many:>9.2} {:>6.2} {bytes:>9}", many / few);
        if many > BAR * few && many > NOISE_MS {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "these take more than {BAR} times as long: {}", missed.join(", "));
}

/// How many milliseconds an answer takes, its body read, and how many bytes that has.
async fn asked(served: &Served, client: &reqwest::Client, path: &str) -> (f64, usize) {
    let path = path.replace("ALERT", &served.alert).replace("DELIVERY", &served.delivery).replace("JOB", &job_of(7));
    let url = format!("http://127.0.0.1:{}{path}", served.port);
    let began = Instant::now();
    let answer = client.get(&url).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let size = answer.bytes().await.unwrap().len();
    (began.elapsed().as_secs_f64() * 1000.0, size)
}

/// How large a store is.
struct Size {
    runs: u64,
    /// Runs that failed, each with an alert.
    alerts: u64,
    /// Of which about so many ended, because a later run of their job went well, which ends all alerts of the job.
    ended: u64,
    /// Dead letters, silences, and what people did.
    deeds: u64,
}

/// Fills a store with runs that went well, has as many fail as there are to be alerts, and serves it.
async fn serve(directory: &Path, size: &Size) -> Served {
    let workspace = workspace().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = directory.join("nightbell.db");
    let text = format!(
        "version: 1\nstore: sqlite://{}\nweb: {{ listen: \"127.0.0.1:{port}\", tokens: true }}\nsources:\n  s:\n    type: dataarts\n    \
         endpoint: {}\n    project_id: {}\n    requests_per_second: 10000\n    poll: \"0 0 1 1 *\"\n    lookback: 1h\n    \
         auth: {{ token: {TOKEN} }}\nreceivers:\n  r: {{ type: webhook, url: \"http://127.0.0.1:9/\" }}\nrules:\n  \
         failed: {{ match: {{ job: \"*_0???\" }}, when: {{ status: [fail] }}, notify: [r], labels: {{ team: finance }} }}\n  \
         failed-too: {{ match: {{ job: \"*_1???\" }}, when: {{ status: [fail] }}, notify: [r], labels: {{ team: sales }} }}\n",
        store.display(),
        workspace.endpoint(),
        workspace.config().project_id,
    );
    let rules = directory.join("rules.yaml");
    std::fs::write(&rules, text).unwrap();
    let url = format!("sqlite://{}", store.display());
    let now = SystemClock.now();
    fill(directory, (0..size.runs).map(|number| run(number, size.runs, (25, 7_200), now)), now).await;
    let back = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    // They end within a span that lies so far back.
    let put = |numbers: std::ops::Range<u64>, first: u64, ago: u64, status: &str, (least, span): (u64, u64)| {
        workspace.put_all(numbers.map(|number| {
            SimInstance::waiting(&job_of(number), first + number, back(ago)).ended(status, back(least + number % span))
        }));
        let once = nightbell().args(["--log", "off", "run", "--once", "-c"]).arg(&rules).stderr(Stdio::null()).status();
        assert!(once.is_ok(), "it does not run");
    };
    put(0..size.alerts, 9_000_000, 1_200, "fail", (60, 600));
    let well = JOBS.min(size.alerts) * size.ended / size.alerts;
    put(0..well, 19_000_000, 1_100, "success", (10, 40));
    let store = SqlStore::open(&url, Mode::Read).await.unwrap();
    // That the receiver cannot be reached is an alert of its own.
    let mut begun = store.alerts(usize::MAX).await.unwrap();
    begun.retain(|alert| alert.rule.as_str().starts_with("failed"));
    assert_eq!(begun.len() as u64, size.alerts, "not every failure is an alert");
    let ended = begun.iter().filter(|alert| alert.facts.alert.ends_at.is_some()).count();
    let expected = (0..size.alerts).filter(|number| number % JOBS < well).count();
    assert_eq!(ended, expected, "not every later run ended the alerts of its job");
    begun.retain(|alert| alert.rule.as_str() == "failed");
    let alert = begun[begun.len() / 2].id.to_string();
    let (whole, half) = (client(&rules, &["--role", "responder"]), client(&rules, &["--label", "team=finance"]));
    let program = Running::start(directory);
    let mut served = Served { _program: program, port, alert, delivery: String::new(), whole, half };
    let began = Instant::now();
    while served.whole.get(format!("http://127.0.0.1:{port}/-/healthy")).send().await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not serve");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.delivery = act(&served, size.deeds).await;
    served
}

/// Somebody with a token of this kind.
fn client(rules: &Path, kind: &[&str]) -> reqwest::Client {
    let made = nightbell().args(["token", "create", "--name", "bench", "-c"]).arg(rules).args(kind).output().unwrap();
    let token = String::from_utf8(made.stdout).unwrap();
    assert!(token.starts_with("nb_"), "no token: {}", String::from_utf8_lossy(&made.stderr));
    let bearer = format!("Bearer {}", token.trim()).parse().unwrap();
    let headers = [(reqwest::header::AUTHORIZATION, bearer)].into_iter().collect();
    reqwest::Client::builder().no_proxy().default_headers(headers).build().unwrap()
}

/// Drops so many messages that are pending and makes as many silences, as people do; the id of one that was dropped.
async fn act(served: &Served, deeds: u64) -> String {
    let at = |path: &str| format!("http://127.0.0.1:{}/api/v1/{path}", served.port);
    let post = async |path: &str, body: String| {
        let request = served.whole.post(at(path)).header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    };
    let list = served.whole.get(at(&format!("deliveries?state=pending&limit={deeds}"))).send().await.unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list.bytes().await.unwrap()).unwrap();
    let ids: Vec<&str> = list["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len() as u64, deeds, "not as many are pending");
    for (number, id) in ids.iter().enumerate() {
        post(&format!("deliveries/{id}/drop"), r#"{"reason":"old"}"#.into()).await;
        post("silences", format!(r#"{{"jobs":["silent_{number}"],"for":"1h","reason":"deploy"}}"#)).await;
    }
    ids[0].to_string()
}
