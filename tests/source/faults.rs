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

/// Only what identifies must be clean; a text is shown as far as it can be read, and says what it can.
#[tokio::test]
async fn a_failure_text_in_broken_bytes_costs_no_alert() {
    let bench = Bench::start(SimConfig::default()).await;
    let table: [(&str, &[u8], &str); 4] = [
        ("cut inside a character", b"out of \xe5\x86", "out of \u{fffd}"),
        ("GBK", b"\xb1\xed\xb2\xbb\xb4\xe6\xd4\xda: t", ": t"),
        ("GBK with a backslash for a second byte", b"\x8b\\ no table", " no table"),
        ("a password", b"\xff password=canary", "password=<redacted>"),
    ];
    for (name, words, shown) in table {
        let body = [
            br#"{"total":2,"instances":[{"jobName":"a","instanceId":1,"status":"fail","errorMessage":""#.as_slice(),
            words,
            "\"},{\"jobName\":\"honest \u{fffd}\",\"instanceId\":2,\"status\":\"fail\"}]}".as_bytes(),
        ];
        bench.sim.inject(Fault::answer(200, body.concat()).on(Operation::List));
        let listing = bench.source().list(hours(1)).await.unwrap();
        assert_eq!((ids(&listing).len(), listing.coverage.set_aside.len()), (2, 0), "{name}");
        let told = listing.instances.iter().find_map(|instance| instance.error.as_deref()).unwrap();
        assert!(told.contains(shown) && !told.contains("canary") && !told.contains('\u{ffff}'), "{name}: {told}");
    }
}

#[tokio::test]
async fn a_status_without_a_word_is_unknown() {
    let bench = Bench::start(SimConfig::default()).await;
    let body = r#"{"total":1,"instances":[{"jobName":"a","instanceId":1,"status":""}]}"#;
    bench.sim.inject(Fault::answer(200, body).on(Operation::List));
    let listing = bench.source().list(hours(1)).await.unwrap();
    assert_eq!((listing.instances[0].status, listing.coverage.set_aside.len()), (Status::Unknown, 0));
}

/// The window of a lookback of a day reaches a millisecond further on both sides.
#[tokio::test]
async fn a_window_as_long_as_the_longest_span_is_read() {
    for (days, hours_back) in [(1, 24), (3, 72), (7, 168)] {
        let bench = Bench::start(SimConfig { span_days: days, ..SimConfig::default() }).await;
        bench.sim.put(success(1, hours_back * 3600));
        bench.sim.put(success(2, 60));
        let source = bench.source();
        assert_eq!(ids(&source.list(hours(hours_back)).await.unwrap()).len(), 2, "{days} days");
        assert_eq!(ids(&source.list(hours(hours_back)).await.unwrap()).len(), 2, "{days} days");
    }
}

#[tokio::test]
async fn a_name_that_the_service_refuses_costs_its_own_job_only() {
    let bench = Bench::start(SimConfig { unknown_jobs_refused: true, ..SimConfig::default() }).await;
    bench.sim.put(success(1, 60));
    bench.sim.put(SimInstance { job: "settlement".to_string(), ..success(2, 60) });
    let named = |jobs: &[&str]| Settings { jobs: jobs.iter().map(|job| job.to_string()).collect(), ..bench.settings() };
    let listing = bench.open(&named(&["etl_orders", "settlement", "gone"])).list(hours(1)).await.unwrap();
    assert_eq!(ids(&listing).len(), 2);
    let reasons = listing.coverage.reasons().join("; ");
    assert!(reasons.contains("\"gone\"") && reasons.contains("does not exist"), "{reasons}");
    assert!(listing.coverage.may_miss("gone", |_| true) && !listing.coverage.may_miss("settlement", |_| true));
    let error = bench.open(&named(&["gone"])).list(hours(1)).await.unwrap_err();
    assert!(error.message.contains("\"gone\""), "{error}");
}

/// Without a `Date`, or with that of a proxy, the words of the refusal tell whose clock is wrong.
#[tokio::test]
async fn a_wrong_clock_that_only_the_words_tell_is_named() {
    let bench = Bench::start(SimConfig::default()).await;
    for time in ["20261120T225800Z", "2026-11-20T22:58:00Z", "2026-11-20 22:58:00"] {
        let words = format!("signature expired, signature time:20261121T000000Z,server time:{time}");
        let body = format!(r#"{{"error_code":"APIGW.0301","error_msg":"{words}"}}"#);
        bench.sim.inject(Fault::answer(401, body).on(Operation::List).times(2));
        let source = bench.source();
        let error = source.list(hours(1)).await.unwrap_err();
        assert!(error.message.ends_with("this machine's clock is 1h 2m ahead of the service's"), "{error}");
        let found = source.examine().await;
        assert!(found[0].answer.contains("1h 2m ahead"), "{found:?}");
    }
}
