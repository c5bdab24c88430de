//! How the binary starts on a PostgreSQL database: waits for one that is not there, says of each thing that is wrong with one
//! what it is and what helps, changes nothing in it then, and prints no password.

use std::process::{Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use sqlx::{Connection as _, Row as _};

use nightbell::sim::SimConfig;
use nightbell::store::{Mode, SqlStore, StoreAddress};

use super::{Running, Stage, exists, failed, pause, text};
use crate::cluster::{self, Cluster};

/// What no output may hold.
const PASSWORD: &str = "canary-of-the-bell";

/// Writes a configuration whose `store` is this.
fn write_store(stage: &Stage, store: &str) {
    stage.write_config(super::TELL_FAILURES);
    let text = std::fs::read_to_string(stage.path("rules.yaml")).unwrap();
    let rest = text.split_once("sources:").unwrap().1;
    std::fs::write(stage.path("rules.yaml"), format!("version: 1\nstore: {store}\nsources:{rest}")).unwrap();
}

async fn output(stage: &Stage, arguments: &[&str]) -> Output {
    let mut command = stage.command(arguments);
    command.env("NIGHTBELL_DB_PASSWORD", PASSWORD).env("NIGHTBELL_WRONG_PASSWORD", format!("{PASSWORD}-not"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    for said in [&output.stdout, &output.stderr] {
        assert!(!text(said).contains("canary"), "the password is printed: {}", text(said));
    }
    output
}

/// What `run --once` and `alerts` say of a store, which they must both refuse with `code`.
async fn refused(stage: &Stage, store: &str, code: i32) -> [String; 2] {
    write_store(stage, store);
    let said = async |arguments: &[&str]| {
        let output = output(stage, arguments).await;
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} on {store}: {words}");
        words
    };
    [said(&["run", "--once"]).await, said(&["alerts"]).await]
}

/// Both say all of this.
fn assert_says(said: &[String; 2], words: &[&str]) {
    for one in said {
        assert!(words.iter().all(|words| one.contains(words)), "{words:?} is not in {one}");
    }
}

/// What the databases of a server hold: each relation, and how many rows a table has.
async fn contents(admin: &str, databases: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for database in databases {
        let mut connection = sqlx::AnyConnection::connect(&format!("{admin}/{database}")).await.unwrap();
        let query = "SELECT relation.relname || ' ' || CASE relation.relkind WHEN 'r' THEN CAST(query_to_xml( \
              format('SELECT COUNT(*) FROM %I.%I', space.nspname, relation.relname), FALSE, TRUE, '') AS TEXT) ELSE '' END \
            FROM pg_class AS relation JOIN pg_namespace AS space ON space.oid = relation.relnamespace \
            WHERE space.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1";
        let found = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        all.extend(found.iter().map(|row| format!("{database}: {}", row.get::<String, _>(0))));
        connection.close().await.unwrap();
    }
    all
}

async fn run(url: String, statement: &'static str) {
    tokio::task::spawn_blocking(move || cluster::run(&url, statement)).await.unwrap();
}

/// A certificate for `localhost`, its key, and the authority that has signed it, all PEM.
fn certificate() -> (String, String, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_string()]).unwrap().signed_by(&key, &issuer).unwrap();
    (own.pem(), key.serialize_pem(), authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_wrong_with_a_database_has_its_own_words() {
    let (certificate, key, authority) = certificate();
    let cluster = tokio::task::spawn_blocking(move || Cluster::guarded(&certificate, &key)).await.unwrap();
    let (admin, port) = (cluster.address(), cluster.address().rsplit(':').next().unwrap().to_string());
    let stage = Stage::set(super::TELL_FAILURES).await;
    std::fs::write(stage.path("ca.pem"), &authority).unwrap();
    let other = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(stage.path("other.pem"), params.self_signed(&other).unwrap().pem()).unwrap();
    run(format!("{admin}/postgres"), "CREATE ROLE bell LOGIN PASSWORD 'canary-of-the-bell'").await;
    run(format!("{admin}/postgres"), "CREATE DATABASE night OWNER bell").await;
    run(format!("{admin}/postgres"), "CREATE DATABASE theirs OWNER bell").await;
    run(format!("{admin}/theirs"), "CREATE TABLE accounts (id BIGINT)").await;
    run(format!("{admin}/postgres"), "CREATE DATABASE closed").await;
    let store = |database: &str, rest: &str| {
        format!(
            "{{ url: \"postgres://bell@localhost:{port}/{database}\", password: {{ env: NIGHTBELL_DB_PASSWORD }}{rest} }}"
        )
    };

    sqlx::any::install_default_drivers();
    let databases = ["night", "theirs", "closed", "postgres"];
    let before = contents(&admin, &databases).await;
    let wrong = store("night", "").replace("DB_PASSWORD", "WRONG_PASSWORD");
    let said = refused(&stage, &wrong, 78).await;
    assert_says(&said, &["password authentication failed for user \"bell\"", "pg_hba.conf"]);
    let said = refused(&stage, &store("none", ""), 78).await;
    assert_says(&said, &["database \"none\" does not exist", "createdb"]);
    let said = refused(&stage, &store("night", ", sslmode: verify-full, ca_file: other.pem"), 78).await;
    assert_says(&said, &["no TLS with it", "\"ca_file\""]);
    let by_address = store("night", ", sslmode: verify-full, ca_file: ca.pem").replace("localhost", "127.0.0.1");
    assert_says(&refused(&stage, &by_address, 78).await, &["no TLS with it"]);
    assert_says(&refused(&stage, &store("theirs", ""), 1).await, &["another program"]);
    let [run_says, alerts_says] = refused(&stage, &store("closed", ""), 1).await;
    assert!(run_says.contains("permission denied for schema public"), "{run_says}");
    assert!(run_says.contains("make it the schema's owner"), "{run_says}");
    // Who only looks needs no right to make anything.
    assert!(alerts_says.contains("it is empty; `nightbell run` fills it"), "{alerts_says}");
    assert_says(&refused(&stage, "postgres://bell@127.0.0.1:1/night", 1).await, &["Connection refused"]);
    assert_eq!(contents(&admin, &databases).await, before, "something was changed");

    // The right one, proven, is filled and works.
    stage.workspace.put(failed("etl", 7));
    std::fs::write(stage.path("password"), format!("{PASSWORD}\n")).unwrap();
    let by_file = store("night", ", sslmode: verify-full, ca_file: ca.pem");
    let by_file = by_file.replace("env: NIGHTBELL_DB_PASSWORD", "file: password");
    assert!(by_file.contains("file: password"), "{by_file}");
    write_store(&stage, &by_file);
    let done = output(&stage, &["run", "--once"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert_eq!(stage.sink.hits_at("hook").len(), 1);
    let listed = output(&stage, &["alerts", "--json"]).await;
    assert_eq!(text(&listed.stdout).lines().count(), 1, "{}", text(&listed.stderr));
    // A newer one is left as it is.
    run(
        format!("{admin}/night"),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99999, 'later', true, '\\x00', 0)",
    )
    .await;
    let full = contents(&admin, &["night"]).await;
    assert!(full.len() > 30, "{full:?}");
    let said = refused(&stage, &store("night", ""), 1).await;
    assert_says(&said, &["made by a newer nightbell (its format is 99999)"]);
    assert_eq!(contents(&admin, &["night"]).await, full, "something was changed");
    assert!(!exists(&stage.path("nightbell.db")));
}

/// A commit that takes long holds what a start has to write: `run` waits for it as for a database that is away, and says
/// so; another command says what it is and ends.
#[tokio::test(flavor = "multi_thread")]
async fn run_waits_for_what_others_hold_up() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 7));
    let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
    SqlStore::open(&StoreAddress::new(&url), Mode::Work).await.unwrap().close().await;
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; UPDATE moment SET last = last").execute(&mut other).await.unwrap();
    write_store(&stage, &url);
    let mut running = stage.start();
    // Both wait at the same time, each for as long as anything waits.
    let refused = output(&stage, &["run", "--once"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    let said = text(&refused.stderr);
    for words in ["the store is held up by others", "canceling statement due to lock timeout", "pg_stat_activity"] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let said = || std::fs::read_to_string(stage.path("log")).unwrap();
    while !said().contains("it is tried again in 1 s") {
        assert!(running.0.try_wait().unwrap().is_none(), "it has ended: {}", said());
        pause(50).await;
    }
    assert!(said().contains("the store is held up by others"), "{}", said());
    assert_eq!(stage.sink.hits().len(), 0);
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    stage.sink.wait("the failure to be told", |hits| hits.len() == 1).await;

    // One that starts again with the files that are in force has nothing to write, and does not wait.
    running.kill();
    sqlx::raw_sql("BEGIN; UPDATE moment SET last = last").execute(&mut other).await.unwrap();
    let begun = said().matches("nightbell runs").count();
    running = stage.start();
    let began = std::time::Instant::now();
    while said().matches("nightbell runs").count() == begun {
        assert!(running.0.try_wait().unwrap().is_none(), "it has ended: {}", said());
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "it does not start: {}", said());
        pause(50).await;
    }
    assert_eq!(said().matches("held up").count(), 1, "{}", said());
    drop((running, other));
    tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
}

/// A store that is a file becomes one that several machines share, and back, by the command.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_moves_to_a_database_and_back_by_a_command() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 7));
    stage.once(0).await;
    let before = text(&stage.output(&["alerts", "--json"]).await.stdout);
    assert_eq!(before.lines().count(), 1);
    let file = |name: &str| format!("sqlite://{}", stage.path(name).display());
    let url = tokio::task::spawn_blocking(|| cluster::empty_database("")).await.unwrap();
    let moved = async |from: &str, to: &str| {
        let (from, to) = (from.to_string(), to.to_string());
        let mut command = super::nightbell(&["store", "copy", &from, &to]);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    };
    for (from, to) in [(stage.store(), url.clone()), (url.clone(), file("back.db"))] {
        let done = moved(&from, &to).await;
        let (shown, said) = (text(&done.stdout), text(&done.stderr));
        assert_eq!(done.status.code(), Some(0), "{said}");
        assert!(shown.lines().any(|line| line.split_whitespace().eq(["delivery", "1"])), "{shown}");
        assert!(said.contains("rows are in") && said.contains("as many as in"), "{said}");
    }
    let again = moved(&stage.store(), &url).await;
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stdout));
    assert!(text(&again.stderr).contains("nothing was copied"), "{}", text(&again.stderr));
    for store in [url.clone(), file("back.db")] {
        write_store(&stage, &store);
        assert_eq!(text(&stage.output(&["alerts", "--json"]).await.stdout), before, "{store}");
        // What was told is not told again.
        stage.once(0).await;
    }
    assert_eq!(stage.sink.hits().len(), 1);
    tokio::task::spawn_blocking(move || cluster::remove(&url)).await.unwrap();
}

/// What is being written to is not copied, from either side.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_a_replica_works_on_is_not_copied() {
    let stage = Stage::set_on_server(SimConfig::default(), super::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 7));
    let running = stage.start();
    stage.sink.wait("the failure to be told", |hits| hits.len() == 1).await;
    let file = format!("sqlite://{}", stage.path("copy.db").display());
    for (from, to) in [(stage.store(), file.clone()), (file.clone(), stage.store())] {
        if from == file {
            // There must be one to copy from.
            SqlStore::open(&StoreAddress::new(&file), Mode::Work).await.unwrap().close().await;
        }
        let mut command = super::nightbell(&["store", "copy", &from, &to]);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = text(&done.stderr);
        assert!(!done.status.success(), "{said}");
        assert!(said.contains("nightbell works on") && said.contains("stop it first"), "{said}");
        assert!(said.contains(&format!("{})", running.0.id())), "{said}");
    }
    assert!(stage.output(&["alerts", "--json"]).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn run_waits_for_a_database_that_is_not_there() {
    let stage = Stage::set(super::TELL_FAILURES).await;
    stage.workspace.put(failed("etl", 7));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let door = listener.local_addr().unwrap();
    // Nobody listens there until the database does.
    drop(listener);
    write_store(&stage, &format!("postgres://nightbell@{door}/night"));
    let log = std::fs::File::create(stage.path("log")).unwrap();
    let child = stage.command(&["run"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut running = Running(child);
    let said = || std::fs::read_to_string(stage.path("log")).unwrap();
    while !said().contains("it is tried again in 2 s") {
        assert!(running.0.try_wait().unwrap().is_none(), "it has ended: {}", said());
        pause(50).await;
    }
    assert!(said().contains("nothing is polled or sent without it"), "{}", said());
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    run(format!("{}/postgres", cluster.address()), "CREATE DATABASE night").await;
    let server = cluster.address().rsplit('@').next().unwrap().to_string();
    let listener = tokio::net::TcpListener::bind(door).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    stage.sink.wait("the failure to be told", |hits| hits.len() == 1).await;

    // Who runs it, and how: told by the store alone.
    let told = output(&stage, &["replicas", "--json"]).await;
    let told: serde_json::Value =
        serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", text(&told.stderr)));
    assert_eq!(told["replicas"][0]["process"], running.0.id());
    assert_eq!(told["replicas"][0]["is_there"], true);
    let holders: Vec<&serde_json::Value> = told["loops"].as_array().unwrap().iter().map(|it| &it["replica"]).collect();
    assert!(holders.len() > 8 && holders.iter().all(|holder| **holder == told["replicas"][0]["id"]), "{told:#}");
    let table = output(&stage, &["replicas"]).await;
    assert_eq!(table.status.code(), Some(0), "{}", text(&table.stderr));
    assert!(text(&table.stdout).contains("poll/warehouse") && text(&table.stdout).contains("(in force)"));
    let status = output(&stage, &["status"]).await;
    assert!(text(&status.stdout).contains(&format!("process {}", running.0.id())), "{}", text(&status.stdout));
    let all = holders.len();
    assert!(text(&status.stdout).contains(&format!("leases    {all} of {all} held\n")), "{}", text(&status.stdout));
    running.kill();
    // It is gone for the others when it has said nothing for a while.
    let mut left = output(&stage, &["replicas"]).await;
    let began = std::time::Instant::now();
    while left.status.code() != Some(1) {
        assert!(began.elapsed().as_secs() < 60, "{}", text(&left.stdout));
        pause(500).await;
        left = output(&stage, &["replicas"]).await;
    }
    assert!(text(&left.stdout).contains("nobody"), "{}", text(&left.stdout));
    // A loop that nobody runs sees nothing, and whoever asks hears of it.
    let status = output(&stage, &["status"]).await;
    let (shown, talk) = (text(&status.stdout), text(&status.stderr));
    assert_eq!(status.status.code(), Some(1), "{shown}");
    assert!(shown.contains(&format!("leases    0 of {all} held, nobody runs ")), "{shown}");
    assert!(talk.contains("blind: nobody runs ") && talk.contains("poll/warehouse"), "{talk}");
}
