//! Opening stores: what is refused and how, who may hold one, and who may look beside.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use nightbell::store::{
    Archive as _, Deliveries as _, Mode, PollCommit, PollLedger as _, SqlStore, StoreError, Upkeep as _,
};

use super::super::sample::{Place, alert, at, commit, delivery};
use super::meddle;

async fn refusal(url: &str, mode: Mode) -> String {
    SqlStore::open(url, mode).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_cannot_be_a_store_is_refused_with_words_and_left_alone() {
    let place = Place::file();
    let directory = place.directory.path().display().to_string();
    for url in ["nightbell.db", "postgres://x", "sqlite://", "sqlite://:memory:", "sqlite://x.db?mode=rwc", "sqlite:x"]
    {
        let words = refusal(url, Mode::Work).await;
        assert!(words.starts_with(&format!("store {url:?}")), "{words}");
    }
    assert_eq!(
        refusal(&format!("sqlite://{directory}"), Mode::Work).await,
        format!("store {directory}: it is a directory, a file is wanted")
    );
    let words = refusal(&format!("sqlite://{directory}/no/such.db"), Mode::Work).await;
    assert!(words.contains(&format!("its directory {directory}/no cannot be used")), "{words}");
    let words = refusal(&place.url(), Mode::Read).await;
    assert_eq!(words, format!("store {}: there is no such file; `nightbell run` makes it", place.path().display()));
    assert!(!place.path().exists(), "reading makes no file");

    std::fs::write(place.path(), "dear diary, ".repeat(1000)).unwrap();
    for mode in [Mode::Work, Mode::Read] {
        let words = refusal(&place.url(), mode).await;
        assert_eq!(words, format!("store {}: file is not a database", place.path().display()));
    }
    assert!(std::fs::read_to_string(place.path()).unwrap().starts_with("dear diary"));
}

#[tokio::test]
async fn the_database_of_another_program_is_refused() {
    let place = Place::file();
    std::fs::write(place.path(), "").unwrap();
    meddle(&place, "CREATE TABLE diary (day TEXT)").await;
    for mode in [Mode::Work, Mode::Read] {
        assert!(refusal(&place.url(), mode).await.ends_with("is a database of another program"));
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_alone() {
    let place = Place::file();
    place.open().await.close().await;
    meddle(
        &place,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'to come', TRUE, x'00', 0)",
    )
    .await;
    for mode in [Mode::Work, Mode::Read] {
        let words = refusal(&place.url(), mode).await;
        assert!(words.ends_with("was made by a newer nightbell (its format is 9999); use that one"), "{words}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_kept() {
    let place = Place::file();
    let store = place.open().await;
    let deliveries = (0..200).map(|number| delivery(&format!("d{number}"), "pager")).collect();
    store.commit_poll(&PollCommit { deliveries, ..commit(0) }).await.unwrap();
    store.close().await;
    drop(store);
    let mut bytes = std::fs::read(place.path()).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 512].fill(0x5a);
    std::fs::write(place.path(), &bytes).unwrap();
    let words = refusal(&place.url(), Mode::Work).await;
    assert!(words.contains("is damaged") || words.contains("malformed"), "{words}");
    assert_eq!(std::fs::read(place.path()).unwrap().len(), bytes.len());
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::file();
    let store = place.open().await;
    store.commit_poll(&commit(0)).await.unwrap();
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(place.directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen.insert(entry.file_name().into_string().unwrap());
    }
    for name in ["nightbell.db", "nightbell.db-wal", "nightbell.db.lock"] {
        assert!(seen.contains(name), "{name} is missing in {seen:?}");
    }
}

#[tokio::test]
async fn a_name_with_odd_characters_is_a_name() {
    let place = Place::file();
    let odd = place.directory.path().join("night bell 100%#é.db");
    let store = SqlStore::open(&format!("sqlite://{}", odd.display()), Mode::Work).await.unwrap();
    store.commit_poll(&commit(0)).await.unwrap();
    assert!(odd.exists());
}

#[tokio::test]
async fn a_reader_looks_beside_the_worker() {
    let place = Place::file();
    let store = place.open().await;
    let reader = SqlStore::open(&place.url(), Mode::Read).await.unwrap();
    let fired = PollCommit { fired: vec![alert("a1", "etl")], deliveries: vec![delivery("d1", "pager")], ..commit(0) };
    store.commit_poll(&fired).await.unwrap();
    assert_eq!(reader.alerts(9).await.unwrap(), fired.fired);
    assert_eq!(super::notifications(reader.deliveries(9).await.unwrap()), fired.deliveries);
    assert!(reader.commit_poll(&commit(1)).await.is_err(), "a reader writes nothing");
    store.commit_poll(&commit(1)).await.unwrap();
}

/// The other half of `a_second_process_is_refused_with_the_holders_pid`: holds the store until its input ends. By itself,
/// without the variable that the other half sets, it has nothing to do.
#[tokio::test]
async fn hold_a_store() {
    let Ok(url) = std::env::var("NIGHTBELL_TEST_HOLD") else { return };
    let _store = SqlStore::open(&url, Mode::Work).await.unwrap();
    println!("held");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

#[tokio::test]
async fn a_second_process_is_refused_with_the_holders_pid() {
    let place = Place::file();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["store::opening::hold_a_store", "--exact", "--nocapture"])
        .env("NIGHTBELL_TEST_HOLD", place.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().contains("held")), "the holder did not get the store");
    // Another name of the same file is the same store.
    std::os::unix::fs::symlink(place.path(), place.directory.path().join("other.db")).unwrap();
    for name in ["nightbell.db", "other.db"] {
        let url = format!("sqlite://{}", place.directory.path().join(name).display());
        match SqlStore::open(&url, Mode::Work).await {
            Err(StoreError::Held { pid, path }) => {
                assert_eq!((pid, Path::new(&path)), (holder.id().to_string(), &*place.path()));
            }
            other => panic!("{other:?}"),
        }
    }
    SqlStore::open(&place.url(), Mode::Read).await.unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    place.open().await;
}

#[tokio::test]
async fn a_store_file_that_is_deleted_or_replaced_is_noticed_and_not_made_anew() {
    let place = Place::file();
    let store = place.open().await;
    store.beat(at(0)).await.unwrap();
    assert!(store.alerts(9).await.unwrap().is_empty());
    let aside = place.directory.path().join("aside.db");
    std::fs::rename(place.path(), &aside).unwrap();
    for _ in 0..2 {
        let words = store.beat(at(1)).await.unwrap_err().to_string();
        assert!(words.contains("the file was deleted or replaced while nightbell works with it"), "{words}");
        // Who is on call still hears of what happens.
        store.commit_poll(&PollCommit { fired: vec![alert("a1", "etl")], ..commit(0) }).await.ok();
        std::fs::write(place.path(), "another file").unwrap();
    }
    assert_eq!(store.alerts(9).await.unwrap().len(), 1);
    std::fs::rename(&aside, place.path()).unwrap();
    store.beat(at(2)).await.unwrap();
}
