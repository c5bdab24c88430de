//! A PostgreSQL cluster of the tests' own, in a temporary folder and on a free port: no service of the system is touched.
//!
//! A keeper beside the server holds the other end of a pipe: when this process ends, however it ends, the server is stopped
//! and its folder removed. A process that is told of a cluster by [`GIVEN`] uses that one.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The environment variable that has the address of a cluster that runs already: `postgres://USER@HOST:PORT`.
pub(crate) const GIVEN: &str = "NIGHTBELL_TEST_POSTGRES";

/// What a test server need not do: survive a power cut.
const CARELESS: [&str; 2] = ["fsync=off", "full_page_writes=off"];

/// What each of them goes by.
const SETTINGS: [&str; 7] = [
    "max_connections=500",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "jit=off",
    "autovacuum_naptime=10s",
    "log_min_messages=fatal",
    "listen_addresses=127.0.0.1,127.0.0.10,127.0.0.11,127.0.0.12",
];

/// A running cluster.
pub(crate) struct Cluster {
    port: u16,
    keeper: Child,
    /// While this is open the server runs.
    leash: Option<ChildStdin>,
}

/// Where Debian's packages and others have the server's programs; the newest first.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        found.push((version, entry.path().join("bin")));
    }
    found.sort();
    found.pop().map(|(_, path)| path).expect("PostgreSQL is not installed: tests/setup.sh installs it")
}

/// The user and group that the server runs as; none where this process is nobody special.
fn server_user() -> Option<(u32, u32)> {
    let number = |flag: &str, user: &str| {
        let output = Command::new("id").arg(flag).args(Some(user).filter(|user| !user.is_empty())).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if number("-u", "") != Some(0) {
        return None;
    }
    let user = if number("-u", "postgres").is_some() { "postgres" } else { "nobody" };
    Some((number("-u", user).unwrap(), number("-g", user).unwrap()))
}

impl Cluster {
    /// Makes a cluster that lets everybody in, and starts its server.
    pub(crate) fn start() -> Cluster {
        Cluster::made(None, &CARELESS)
    }

    /// The same, of which a power cut takes nothing that was committed.
    #[allow(dead_code, reason = "a bench uses it")]
    fn durable() -> Cluster {
        Cluster::made(None, &[])
    }

    /// The same with TLS, by a PEM certificate and its key, and a server that lets `nightbell` in and wants everybody else's
    /// password.
    pub(crate) fn guarded(certificate: &str, key: &str) -> Cluster {
        Cluster::made(Some([certificate, key]), &CARELESS)
    }

    fn made(identity: Option<[&str; 2]>, also: &[&str]) -> Cluster {
        let folder = tempfile::Builder::new().prefix("nightbell-pg-").tempdir().unwrap().keep();
        let user = server_user();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).unwrap();
        }
        let data = folder.join("data");
        let mut made = as_user(Command::new(programs().join("initdb")), user);
        made.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--username=nightbell", "-D"]);
        let made = made.arg(&data).current_dir(&folder).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings: Vec<String> = SETTINGS.iter().chain(also).map(ToString::to_string).collect();
        if let Some([certificate, key]) = identity {
            let own = |name: &str, text: &str| {
                let path = data.join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
                if let Some((user, group)) = user {
                    std::os::unix::fs::chown(&path, Some(user), Some(group)).unwrap();
                }
            };
            own("server.crt", certificate);
            own("server.key", key);
            own("pg_hba.conf", "host all nightbell all trust\nhost all all all scram-sha-256\n");
            settings.push("ssl=on".into());
        }
        let (keeper, leash) = keep(&folder, port, user, &settings);
        let cluster = Cluster { port, keeper, leash: Some(leash) };
        cluster.wait_until_up();
        cluster
    }

    /// The address without a database.
    pub(crate) fn address(&self) -> String {
        format!("postgres://nightbell@127.0.0.1:{}", self.port)
    }

    /// Stops the server at once, as a crash would, and starts it again.
    pub(crate) fn restart(&mut self) {
        self.leash.as_mut().unwrap().write_all(b"restart\n").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        self.wait_until_up();
    }

    fn wait_until_up(&self) {
        let began = Instant::now();
        let ready = programs().join("pg_isready");
        loop {
            let is_open = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            let mut asked = Command::new(&ready);
            asked.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if is_open && asked.status().unwrap().success() {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the database did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.leash.take());
        drop(self.keeper.wait());
    }
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

/// Starts the server and what stops it when the pipe closes; a line in the pipe restarts it.
fn keep(folder: &Path, port: u16, user: Option<(u32, u32)>, settings: &[String]) -> (Child, ChildStdin) {
    const SCRIPT: &str = r#"
        trap '' INT TERM
        folder=$1; shift
        "$@" </dev/null >>"$folder/log" 2>&1 & server=$!
        while read -r _; do
            kill -QUIT $server; wait $server
            "$@" </dev/null >>"$folder/log" 2>&1 & server=$!
        done
        kill -QUIT $server; wait $server
        rm -rf "$folder"
    "#;
    let mut keeper = as_user(Command::new("sh"), user);
    keeper.args(["-c", SCRIPT, "keeper"]).arg(folder).arg(programs().join("postgres"));
    keeper.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string(), "-k"]).arg(folder);
    for setting in settings {
        keeper.args(["-c", setting]);
    }
    // A group of its own: what interrupts the tests at the terminal must not stop the keeper before its work is done.
    keeper.process_group(0).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut keeper = keeper.spawn().unwrap();
    let leash = keeper.stdin.take().unwrap();
    (keeper, leash)
}

/// This process's cluster.
static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// Has this process's cluster be one that survives a power cut, as what is measured against a file must: to be called first of
/// all.
#[allow(dead_code, reason = "a bench uses it")]
pub(crate) fn start_durable() {
    assert!(CLUSTER.set(Cluster::durable()).is_ok(), "the cluster runs already");
}

/// The address of this process's cluster, which is started when it is first asked for.
pub(crate) fn address() -> String {
    std::env::var(GIVEN).unwrap_or_else(|_| CLUSTER.get_or_init(Cluster::start).address())
}

/// The address of a fresh and empty database in this process's cluster, made as `options` say.
pub(crate) fn empty_database(options: &str) -> String {
    let name = fresh_name();
    run(&format!("{}/postgres", address()), &format!("CREATE DATABASE {name} {options}"));
    format!("{}/{name}", address())
}

/// A name that no other database has.
fn fresh_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A copy of the database `template` of this process's cluster. `fill` is called once, to fill that.
pub(crate) fn copy_of(template: &str, fill: impl FnOnce(&str)) -> String {
    static FILLED: OnceLock<()> = OnceLock::new();
    let (admin, name) = (format!("{}/postgres", address()), fresh_name());
    FILLED.get_or_init(|| {
        let own = format!("{template}_{}", std::process::id());
        run(&admin, &format!("CREATE DATABASE {own}"));
        fill(&format!("{}/{own}", address()));
    });
    let template = format!("{template}_{}", std::process::id());
    run(&admin, &format!("CREATE DATABASE {name} TEMPLATE {template}"));
    format!("{}/{name}", address())
}

/// Removes a database, with the connections that are left to it.
pub(crate) fn remove(url: &str) {
    let name = url.rsplit('/').next().unwrap();
    run(&format!("{}/postgres", address()), &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
}

/// Runs a statement on the database at `url`. May be called from within a runtime.
pub(crate) fn run(url: &str, statement: &str) {
    let (url, statement) = (url.to_string(), statement.to_string());
    let work = || async move {
        sqlx::any::install_default_drivers();
        let mut connection = <sqlx::AnyConnection as sqlx::Connection>::connect(&url).await.unwrap();
        let began = Instant::now();
        loop {
            let text = sqlx::AssertSqlSafe(statement.clone());
            match sqlx::Executor::execute(&mut connection, sqlx::raw_sql(text)).await {
                Ok(_) => break,
                // Whoever filled the template is still being seen off.
                Err(error) if error.to_string().contains("being accessed") && began.elapsed().as_secs() < 20 => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{statement}: {error}"),
            }
        }
        drop(sqlx::Connection::close(connection).await);
    };
    outside(work);
}

/// Does the work on a thread and a runtime of its own.
pub(crate) fn outside<T: Send, F: Future<Output = T>>(work: impl FnOnce() -> F + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work())
        });
        thread.join().unwrap()
    })
}
