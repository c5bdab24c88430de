//! A real Airflow on loopback: api-server, scheduler and dag-processor, with a database of their own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long the installation in the background, and then the start, may take.
const INSTALLED_WITHIN: Duration = Duration::from_secs(900);
const STARTED_WITHIN: Duration = Duration::from_secs(180);
pub(super) const PASSWORD: &str = "canary-airflow-password";

/// Where `tests/setup.sh` installs Airflow.
fn installation() -> PathBuf {
    let versions = std::fs::read(data().join("requirements.txt")).unwrap();
    let digest: String = Sha256::digest(versions).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("NIGHTBELL_TEST_CACHE").unwrap_or_else(|| {
        let home = || variable("HOME").unwrap().join(".cache");
        variable("XDG_CACHE_HOME").unwrap_or_else(home).join("nightbell")
    });
    cache.join(format!("airflow-{digest}"))
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/airflow")
}

/// Airflow at work.
pub(super) struct Night {
    pub(super) url: String,
    pub(super) home: tempfile::TempDir,
    client: reqwest::Client,
    token: String,
    processes: Vec<Child>,
}

impl Drop for Night {
    fn drop(&mut self) {
        // Each process leads a group of its own, to which its workers belong.
        for process in &mut self.processes {
            let group = format!("-{}", process.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            let _ = process.wait();
        }
    }
}

impl Night {
    /// Starts one, and waits until it has read its DAGs.
    pub(super) async fn start() -> Night {
        let installation = installed().await;
        let home = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let passwords = json!({ "admin": PASSWORD, "viewer": PASSWORD });
        std::fs::write(home.path().join("passwords.json"), passwords.to_string()).unwrap();
        let airflow = |arguments: &[&str], log: &str| -> Command {
            use std::os::unix::process::CommandExt as _;
            let mut command = Command::new(installation.join("venv/bin/airflow"));
            let log = std::fs::File::create(home.path().join(log)).unwrap();
            command.args(arguments).envs(environment(home.path(), &url, port)).process_group(0);
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            command
        };
        let status = airflow(&["db", "migrate"], "migrate.log").status().unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(home.path().join("migrate.log")).unwrap());
        let parts: [&[&str]; 3] = [&["api-server"], &["scheduler", "--skip-serve-logs"], &["dag-processor"]];
        let processes = parts.map(|part| airflow(part, &format!("{}.log", part[0])).spawn().unwrap()).into();
        nightbell::http::install_crypto();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut night = Night { url, home, client, token: String::new(), processes };
        night.wait_for_dags().await;
        night
    }

    async fn wait_for_dags(&mut self) {
        let began = Instant::now();
        loop {
            if self.token.is_empty() {
                let body = json!({ "username": "admin", "password": PASSWORD });
                let answer = self.client.post(format!("{}/auth/token", self.url)).body(body.to_string());
                if let Ok(answer) = answer.header("content-type", "application/json").send().await {
                    let text = answer.text().await.unwrap_or_default();
                    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                    self.token = answer["access_token"].as_str().unwrap_or_default().to_string();
                }
            } else {
                let dags = self.get("/api/v2/dags?limit=100").await;
                let errors = self.get("/api/v2/importErrors").await;
                if dags["total_entries"] == 9 && errors["total_entries"] == 1 {
                    return;
                }
            }
            assert!(began.elapsed() < STARTED_WITHIN, "Airflow does not come up: {}", self.logs());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The ends of the processes' logs.
    fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.home.path().join(name)).unwrap_or_default();
        let tail = |text: String| text.lines().rev().take(15).map(str::to_string).collect::<Vec<_>>().join("\n");
        ["api-server.log", "scheduler.log", "dag-processor.log"]
            .map(|name| format!("{name}\n{}", tail(read(name))))
            .join("\n")
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Asks for something to be done, again and again while Airflow says that its database is locked, or that it failed: it is
    /// SQLite, and others write. What was done all the same is there already when it is asked for again.
    pub(super) async fn post_until_taken(&self, path: &str, body: Value) {
        let (began, mut has_failed) = (Instant::now(), false);
        loop {
            let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
            let request = request.header("content-type", "application/json").body(body.to_string());
            let answer = request.send().await.unwrap();
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
            if (200..300).contains(&status) || has_failed && status == 409 {
                return;
            }
            has_failed |= status == 500 && text.contains("Database error");
            let is_locked = has_failed || status == 503 && text.contains("locked");
            assert!(is_locked && began.elapsed() < STARTED_WITHIN, "{path}: {status} {text}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Starts a run of a DAG by hand.
    pub(super) async fn trigger(&self, dag: &str) {
        self.post_until_taken(
            &format!("/api/v2/dags/{dag}/dagRuns"),
            json!({ "logical_date": null, "dag_run_id": format!("live_{dag}") }),
        )
        .await;
    }

    /// What Airflow's own database says of its runs: DAG, run, state, type.
    pub(super) fn runs(&self) -> Vec<[String; 4]> {
        rows(self.read("select dag_id, run_id, state, run_type from dag_run order by id"))
    }

    /// When each run began and ended, by the same: DAG, run, start, end.
    pub(super) fn times(&self) -> Vec<[String; 4]> {
        rows(self.read("select dag_id, run_id, start_date, end_date from dag_run where end_date is not null"))
    }

    /// The tasks that failed or could not run, by the same: DAG, run, task, number of the mapped one or -1.
    pub(super) fn failed_tasks(&self) -> Vec<[String; 4]> {
        rows(self.read(
            "select dag_id, run_id, task_id, cast(map_index as text) from task_instance \
             where state in ('failed', 'upstream_failed')",
        ))
    }

    /// The DAGs that are paused and the files that cannot be imported, by the same.
    pub(super) fn out_of_order(&self) -> Vec<[String; 1]> {
        rows(self.read(
            "select dag_id from dag where is_paused and not is_stale union select filename from import_error order by 1",
        ))
    }

    fn read(&self, statement: &str) -> Value {
        let program = "import json, sqlite3, sys\n\
             rows = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True).execute(sys.argv[2]).fetchall()\n\
             print(json.dumps(rows))";
        let python = installation().join("venv/bin/python");
        let database = self.home.path().join("airflow.db");
        let output = Command::new(python).args(["-c", program]).arg(database).arg(statement).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Rows as arrays of their columns.
fn rows<Row: serde::de::DeserializeOwned>(read: Value) -> Vec<Row> {
    serde_json::from_value(read).unwrap()
}

/// Waits for the installation that `tests/setup.sh` makes in the background.
async fn installed() -> PathBuf {
    let place = installation();
    assert!(place.exists(), "there is no Airflow in {}: run tests/setup.sh", place.display());
    let began = Instant::now();
    while !place.join("ready").exists() {
        let log = std::fs::read_to_string(place.join("log")).unwrap_or_default();
        assert!(!place.join("failed").exists(), "Airflow could not be installed: {log}");
        assert!(began.elapsed() < INSTALLED_WITHIN, "Airflow is not installed yet: {log}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    place
}

fn environment(home: &Path, url: &str, port: u16) -> Vec<(String, String)> {
    let at = |name: &str| home.join(name).display().to_string();
    let settings = [
        ("CORE__DAGS_FOLDER", data().join("dags").display().to_string()),
        ("CORE__LOAD_EXAMPLES", "False".to_string()),
        ("CORE__EXECUTOR", "LocalExecutor".to_string()),
        ("CORE__PARALLELISM", "4".to_string()),
        ("CORE__DAGS_ARE_PAUSED_AT_CREATION", "False".to_string()),
        ("CORE__EXECUTION_API_SERVER_URL", format!("{url}/execution/")),
        ("CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin,viewer:viewer".to_string()),
        ("CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", at("passwords.json")),
        ("API__HOST", "127.0.0.1".to_string()),
        ("API__PORT", port.to_string()),
        ("API__WORKERS", "1".to_string()),
        ("API__BASE_URL", url.to_string()),
        ("API__SECRET_KEY", "the key of a test".to_string()),
        ("API_AUTH__JWT_SECRET", "the secret of a test, which is long enough for HS512 ..".to_string()),
        ("DATABASE__SQL_ALCHEMY_CONN", format!("sqlite:///{}", at("airflow.db"))),
        ("DAG_PROCESSOR__REFRESH_INTERVAL", "5".to_string()),
        ("DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL", "5".to_string()),
        ("SCHEDULER__SCHEDULER_HEARTBEAT_SEC", "1".to_string()),
        ("USAGE_DATA_COLLECTION__ENABLED", "False".to_string()),
    ];
    let own = settings.map(|(name, value)| (format!("AIRFLOW__{name}"), value));
    let others = [("AIRFLOW_HOME", at("")), ("NB_MENDED", at("mended")), ("PYTHONDONTWRITEBYTECODE", "1".to_string())];
    own.into_iter().chain(others.map(|(name, value)| (name.to_string(), value))).collect()
}
