//! What a scheduler can do wrong, row by row of the list of faults, and the test that holds each row.
//!
//! | fault | held by |
//! |---|---|
//! | F-31 truncated JSON | `faults_are_classed_and_told`, `program::outages::a_source_that_answers_nonsense…` |
//! | F-32 endless bodies, long texts, deep nesting | `faults_are_classed_and_told`, `a_name_of_ten_megabytes…` |
//! | F-33 compression bombs, nested encodings | `faults_are_classed_and_told`, `encodings_that_were_not_asked_for…` |
//! | F-34 no text, BOM, NaN, keys twice, surrogates | `bytes_that_are_no_text…`, and the unit tests of `answer` |
//! | F-35 HTML, empty, 204 | `faults_are_classed_and_told` |
//! | F-36 totals that lie | `a_list_that_loses_rows_on_the_way_is_reported`, and the unit tests of `paging` |
//! | F-37 pages that shift | `rows_that_come_meanwhile…` and `rows_that_go_meanwhile…` of `paging` |
//! | F-38 pages that repeat, other hosts | `no_server_makes_it_endless_or_silent` of `paging`; a redirect is an error (`302`) |
//! | F-39 one id in two jobs, two sources | `program::odd::one_id_in_two_jobs_and_two_sources…` |
//! | F-40 ids beyond 2^53 | `a_bad_item_is_set_aside_and_exact_ids_pass`, and the unit tests of `answer` |
//! | F-41 odd times | `odd_times_are_unknown_times…`, and the unit tests of `record` |
//! | F-42 unknown statuses | `program::odd::a_status_that_nobody_knows…`, `every_status_word_has_its_meaning` of `answer` |
//! | F-43 missing and wrong fields | `a_bad_item_is_set_aside_and_exact_ids_pass`, `program::outages::a_bad_item…` |
//! | F-44 late arrival | `program::odd::a_run_that_is_listed_long_after_its_end…` |
//! | F-45 stale replicas | `program::story::a_stale_page_begins_no_episode`, `poll::a_stale_page…` |
//! | F-46 401, 403, 429, a token that ends mid-list | `faults_are_classed_and_told`, `a_token_that_ends_between_two_pages…` |
//! | F-47 slower than its interval | `program::odd::a_source_slower_than_its_interval…` |

use super::*;

/// Every test that the table above names exists, and every fault has a row.
#[test]
fn the_table_of_faults_names_tests_that_there_are() {
    fn texts(directory: &std::path::Path, all: &mut String) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => texts(&path, all),
                false if path.extension().is_some_and(|it| it == "rs") => {
                    all.push_str(&std::fs::read_to_string(&path).unwrap());
                }
                false => {}
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    ["src", "tests"].iter().for_each(|directory| texts(&root.join(directory), &mut code));
    let rows: Vec<&str> = include_str!("faults.rs").lines().filter_map(|line| line.strip_prefix("//! | F-")).collect();
    let numbers: Vec<u32> = rows.iter().map(|row| row[..2].parse().unwrap()).collect();
    assert_eq!(numbers, (31..=47).collect::<Vec<_>>());
    for row in rows {
        let quoted = row.split('`').skip(1).step_by(2);
        let names = quoted.map(|name| name.rsplit("::").next().unwrap()).filter(|name| name.contains('_'));
        let mut count = 0;
        for name in names {
            let (start, end) = name.strip_suffix('…').map_or((name, "("), |start| (start, ""));
            assert!(code.contains(&format!("fn {start}{end}")), "F-{row}: there is no test {name}");
            count += 1;
        }
        assert!(count > 0, "F-{row} names no test");
    }
}

#[tokio::test]
async fn a_name_of_ten_megabytes_is_cut_and_costs_no_other_row() {
    let bench = Bench::start(SimConfig::default()).await;
    let name = "n".repeat(10 << 20);
    let body = format!(
        r#"{{"total":2,"instances":[{{"jobName":"{name}","instanceId":1,"status":"fail"}},
            {{"jobName":"b","instanceId":2,"status":"fail"}}]}}"#
    );
    bench.sim.inject(Fault::answer(200, body).on(Operation::List));
    let listing = bench.source().list(hours(1)).await.unwrap();
    assert_eq!(ids(&listing), BTreeSet::from(["1".to_string(), "2".to_string()]));
    assert!(listing.instances.iter().all(|instance| instance.job.name.len() <= 1024));
}

#[tokio::test]
async fn encodings_that_were_not_asked_for_are_no_answer() {
    let bench = Bench::start(SimConfig::default()).await;
    let bomb = include_bytes!("../data/dataarts/bomb.json.gz").as_slice();
    for encoding in ["br", "zstd", "gzip, gzip", "deflate", "made-up"] {
        bench.sim.inject(Fault::answer(200, bomb).header("content-encoding", encoding).on(Operation::List).times(2));
        let error = bench.source().list(hours(1)).await.unwrap_err();
        assert!(matches!(error.kind, SourceErrorKind::BadAnswer | SourceErrorKind::Transient), "{encoding}: {error}");
        bench.sim.clear_faults();
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_and_keys_that_stand_twice_cost_their_item_only() {
    let bench = Bench::start(SimConfig::default()).await;
    let good = r#"{"jobName":"good","instanceId":1,"status":"fail"}"#;
    let table: [(&str, &[u8]); 4] = [
        ("invalid UTF-8", b"{\"jobName\":\"\xff\xfe\",\"instanceId\":2,\"status\":\"fail\"}"),
        ("half a surrogate pair", br#"{"jobName":"\ud800","instanceId":2,"status":"fail"}"#),
        ("a key twice", br#"{"jobName":"a","jobName":"b","instanceId":2,"status":"fail"}"#),
        ("an id beyond reading", br#"{"jobName":"a","instanceId":1e400,"status":"fail"}"#),
    ];
    for (name, item) in table {
        let body = [b"\xef\xbb\xbf{\"total\":2,\"instances\":[", good.as_bytes(), b",", item, b"]}"].concat();
        bench.sim.inject(Fault::answer(200, body).on(Operation::List));
        let listing = bench.source().list(hours(1)).await.unwrap();
        assert_eq!(ids(&listing), BTreeSet::from(["1".to_string()]), "{name}");
        assert_eq!(listing.coverage.set_aside.len(), 1, "{name}");
    }
    for number in ["NaN", "Infinity", "-Infinity"] {
        let body = format!(r#"{{"total":1,"instances":[{{"jobName":"a","instanceId":{number},"status":"fail"}}]}}"#);
        bench.sim.inject(Fault::answer(200, body).on(Operation::List));
        let error = bench.source().list(hours(1)).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::BadAnswer, "{number} is no JSON: {error}");
    }
}

#[tokio::test]
async fn odd_times_are_unknown_times_and_no_endless_durations() {
    let bench = Bench::start(SimConfig::default()).await;
    let (start, end) = (ago(60).as_millisecond(), ago(30).as_millisecond());
    let table = [
        ("both", format!(r#""startTime":{start},"endTime":{end}"#), Some(30)),
        ("the end first", format!(r#""startTime":{end},"endTime":{start}"#), None),
        ("in seconds", format!(r#""startTime":{},"endTime":{end}"#, start / 1000), None),
        ("zero", format!(r#""startTime":0,"endTime":{end}"#), None),
        ("negative", format!(r#""startTime":-1,"endTime":{end}"#), None),
        ("no end", format!(r#""startTime":{start},"endTime":null"#), None),
        ("beyond the year 9999", format!(r#""startTime":{start},"endTime":253402300800000"#), None),
    ];
    for (name, times, lasted) in table {
        let body = format!(r#"{{"total":1,"instances":[{{"jobName":"a","instanceId":1,"status":"fail",{times}}}]}}"#);
        bench.sim.inject(Fault::answer(200, body).on(Operation::List));
        let listing = bench.source().list(hours(1)).await.unwrap();
        assert_eq!(listing.instances[0].duration(now()), lasted.map(Duration::from_secs), "{name}");
    }
}
