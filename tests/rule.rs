//! Rules: patterns of job names, finding the rules of a job, and judging an instance.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use nightbell::model::{Instance, InstanceType, JobRef, RuleId, Severity, SourceId, Status};
use nightbell::rule::{Condition, MatchCache, Matches, Pattern, Rule, RuleSet, Unmet, Verdict};
use proptest::prelude::*;

fn rule(id: &str, matches: Matches, when: Condition) -> Rule {
    Rule {
        id: RuleId::new(id),
        matches,
        when,
        severity: Severity::Error,
        notify: Vec::new(),
        hours: Vec::new(),
        escalation: Vec::new(),
        rounds: None,
        group: None,
        repeat: None,
        recovers: Default::default(),
        labels: Default::default(),
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn matches_job(pattern: &str, job: &str) -> bool {
    let matches = Matches { jobs: patterns(&[pattern]), ..Matches::default() };
    let set = RuleSet::compile(vec![rule("r", matches, Condition::default())]).unwrap();
    !set.matching(&SourceId::new("s"), job, &mut MatchCache::default()).is_empty()
}

#[test]
fn patterns_match_whole_names() {
    let table = [
        ("etl_orders", "etl_orders", true),
        ("etl_orders", "etl_orders_2", false),
        ("etl_*", "etl_", true),
        // The glob crate takes such a name for a path.
        ("*.", "..", true),
        ("etl_*", "my_etl_x", false),
        ("*", "", true),
        ("*", "a/b.c\nd", true),
        ("etl_*", "ETL_x", false),
        ("a*c", "a/b/c", true),
        ("*.sql", "dir/x.sql", true),
        ("*.sql", "..", false),
        ("**/x", "x", false),
        ("**/x", "a/x", true),
        ("a**", "a", true),
        ("{orders,users}_daily", "users_daily", true),
        ("{orders,users}_daily", "_daily", false),
        ("etl{,_tmp}", "etl", true),
        ("a,b", "a,b", true),
        ("a.b", "axb", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("job_?", "job_1", true),
        ("job_?", "job_12", false),
        ("job_[0-9]", "job_7", true),
        ("job_[!0-9]", "job_7", false),
        ("job_[^0-9]", "job_x", true),
        ("[]]", "]", true),
        ("[a-]", "-", true),
        ("[&&]", "&", true),
        ("[+--/]", "/", true),
        // One character, not one byte.
        ("数据_?", "数据_表", true),
        ("数据_?", "数据_表x", false),
        ("?", "数", true),
        ("[数据]", "据", true),
        ("[数据]", "\u{e6}", false),
        ("[!数]", "据", true),
        ("数*", "数据", true),
        ("/etl_\\d+/", "etl_12", true),
        ("/etl_\\d+/", "x_etl_12", false),
        ("/etl_\\d+/", "etl_12x", false),
        ("/a|b/", "b", true),
        ("/a|b/", "ab", false),
        ("/(?i)etl/", "ETL", true),
        ("/(?x) etl # a comment/", "etl", true),
        ("/(?x) etl # a comment/", "etlx", false),
        ("/(?m)^a$/", "a", true),
        ("/(?m)^a$/", "a\nb", false),
        ("/a\\/b/", "a/b", true),
        ("/.数/", "据数", true),
    ];
    for (pattern, job, expected) in table {
        assert_eq!(matches_job(pattern, job), expected, "{pattern} on {job:?}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_words() {
    let long = "a".repeat(1025);
    let table = [
        ("", "is empty"),
        ("x[1", "a \"[\" is not closed"),
        ("{a,b", "a \"{\" is not closed"),
        ("a,b}", "a \"}\" closes nothing"),
        ("[z-a]", "runs backwards"),
        ("a\\", "escapes nothing"),
        ("/etl", "does not end it"),
        ("/", "does not end it"),
        ("//", "does not end it"),
        ("/(/", "unclosed group"),
        // Would be right inside our own group, and is wrong by itself.
        ("/a)|(b/", "unopened group"),
        ("/a{1000}{1000}{1000}/", "too large"),
        ("/(?:a{100}){100}{100}/", "too large"),
        (long.as_str(), "longer than 1024"),
    ];
    for (pattern, expected) in table {
        let error = Pattern::parse(pattern).unwrap_err();
        assert!(error.contains(expected), "{pattern}: {error}");
    }
}

#[test]
fn sources_jobs_and_exclusions_select_the_rules() {
    let (warehouse, lake) = (SourceId::new("warehouse"), SourceId::new("lake"));
    let set = RuleSet::compile(vec![
        rule("everything", Matches::default(), Condition::default()),
        rule(
            "etl",
            Matches { jobs: patterns(&["etl_*"]), not: patterns(&["etl_tmp_*", "/.*_test/"]), ..Matches::default() },
            Condition::default(),
        ),
        rule("lake", Matches { sources: vec![lake.clone()], ..Matches::default() }, Condition::default()),
        rule("not-tmp", Matches { not: patterns(&["*tmp*"]), ..Matches::default() }, Condition::default()),
        rule("two", Matches { jobs: patterns(&["etl_*", "etl_orders"]), ..Matches::default() }, Condition::default()),
    ])
    .unwrap();
    let mut cache = MatchCache::default();
    for _ in 0..2 {
        assert_eq!(*set.matching(&warehouse, "etl_orders", &mut cache), [0, 1, 3, 4]);
        assert_eq!(*set.matching(&lake, "etl_orders", &mut cache), [0, 1, 2, 3, 4]);
        assert_eq!(*set.matching(&warehouse, "etl_tmp_x", &mut cache), [0, 4]);
        assert_eq!(*set.matching(&warehouse, "etl_x_test", &mut cache), [0, 3, 4]);
        assert_eq!(*set.matching(&warehouse, "other", &mut cache), [0, 3]);
    }
}

#[test]
fn the_cache_forgets_and_stays_right() {
    let matches = Matches { jobs: patterns(&["*7"]), ..Matches::default() };
    let set = RuleSet::compile(vec![rule("sevens", matches, Condition::default())]).unwrap();
    let (source, mut cache) = (SourceId::new("s"), MatchCache::default());
    for number in 0..nightbell::limits::MATCH_CACHE_NAMES_MAX * 2 + 10 {
        let found = set.matching(&source, &format!("job_{number}"), &mut cache);
        assert_eq!(!found.is_empty(), number % 10 == 7, "job_{number}");
    }
}

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
}

/// An instance planned at minute 0.
fn instance(status: Status, start: Option<i64>, end: Option<i64>) -> Instance {
    Instance {
        source: SourceId::new("s"),
        id: "1".into(),
        job: JobRef { name: "j".into(), id: None },
        name: None,
        status,
        raw_status: status.to_string(),
        kind: InstanceType::Scheduled,
        plan_time: Some(at(0)),
        start_time: start.map(at),
        end_time: end.map(at),
        error: None,
    }
}

fn when(statuses: &[Status], minutes: Option<u64>) -> Condition {
    Condition {
        statuses: statuses.iter().copied().collect::<BTreeSet<_>>(),
        duration: minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        ..Condition::default()
    }
}

#[test]
fn a_condition_holds_since_it_began_to() {
    use Status::*;
    let holds = |minute| Verdict::Holds { since: at(minute) };
    let no = Verdict::DoesNotHold;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let table = [
        // A status alone: since the end, or since now.
        (when(&[Fail], None), instance(Fail, Some(1), Some(5)), holds(5)),
        (when(&[Fail], None), instance(Fail, None, None), holds(60)),
        (when(&[Fail], None), instance(Fail, Some(1), Some(90)), holds(60)),
        (when(&[Running], None), instance(Running, Some(1), None), holds(60)),
        (when(&[RunningException], None), instance(RunningException, Some(1), Some(9)), holds(60)),
        (when(&[], None), instance(Success, Some(1), Some(5)), holds(5)),
        (when(&[Fail], None), instance(Success, Some(1), Some(5)), no(Unmet::StatusNotInSet(Success))),
        (when(&[Success], None), instance(Unknown, Some(1), Some(5)), no(Unmet::StatusNotInSet(Unknown))),
        // A duration alone: since it was crossed.
        (when(&[], Some(45)), instance(Running, Some(1), None), holds(46)),
        (when(&[], Some(45)), instance(Waiting, None, None), holds(45)),
        (when(&[], Some(45)), instance(Success, Some(1), Some(50)), holds(46)),
        (when(&[], Some(59)), instance(Running, Some(1), None), holds(60)),
        (
            when(&[], Some(60)),
            instance(Running, Some(1), None),
            no(Unmet::TooShort { lasted: minutes(59), threshold: minutes(60) }),
        ),
        (when(&[], Some(45)), instance(Running, None, None), no(Unmet::DurationUnknown)),
        (when(&[], Some(45)), instance(Success, Some(1), None), no(Unmet::DurationUnknown)),
        (when(&[], Some(45)), instance(Success, Some(9), Some(5)), no(Unmet::DurationUnknown)),
        (when(&[], Some(45)), instance(Running, Some(70), None), no(Unmet::DurationUnknown)),
        // Both.
        (when(&[Running], Some(45)), instance(Running, Some(1), None), holds(46)),
        (when(&[Fail], Some(45)), instance(Fail, Some(1), Some(50)), holds(50)),
        (when(&[Running], Some(45)), instance(Waiting, None, None), no(Unmet::StatusNotInSet(Waiting))),
    ];
    for (index, (when, instance, expected)) in table.into_iter().enumerate() {
        let verdict = rule("r", Matches::default(), when.clone()).judge(&instance, at(60));
        assert_eq!(verdict, expected, "row {index}: {when:?} on {instance:?}");
    }
}

#[test]
fn backfill_concerns_only_rules_that_name_it() {
    let backfill = Instance { kind: InstanceType::Backfill, ..instance(Status::Fail, Some(1), Some(5)) };
    let judge = |types: &[InstanceType], instance: &Instance| {
        let matches = Matches { instance_types: types.to_vec(), ..Matches::default() };
        rule("r", matches, when(&[Status::Fail], None)).judge(instance, at(60))
    };
    use InstanceType::*;
    assert_eq!(judge(&[], &backfill), Verdict::DoesNotHold(Unmet::BackfillNotNamed));
    assert_eq!(judge(&[Manual], &backfill), Verdict::DoesNotHold(Unmet::TypeNotMatched(Backfill)));
    assert_eq!(judge(&[Manual, Backfill], &backfill), Verdict::Holds { since: at(5) });
    for kind in InstanceType::ALL.into_iter().filter(|kind| *kind != Backfill) {
        let other = Instance { kind, ..backfill.clone() };
        assert_eq!(judge(&[], &other), Verdict::Holds { since: at(5) }, "{kind:?}");
        assert_eq!(judge(&[Backfill], &other), Verdict::DoesNotHold(Unmet::TypeNotMatched(kind)));
    }
}

#[test]
fn reasons_read_as_words() {
    let reason = Unmet::TooShort { lasted: Duration::from_secs(100), threshold: Duration::from_secs(2700) };
    assert_eq!(reason.to_string(), "lasted 1m 40s, which is under 45m");
    assert_eq!(
        Unmet::TypeNotMatched(InstanceType::Manual).to_string(),
        "the rule does not name the instance type manual"
    );
}

/// What a glob of the letters below means, said without any library.
fn naive_glob(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skipped| naive_glob(rest, &name[skipped..])),
        Some(('?', rest)) => !name.is_empty() && naive_glob(rest, &name[1..]),
        Some((letter, rest)) => name.first() == Some(letter) && naive_glob(rest, &name[1..]),
    }
}

fn naive_pattern(pattern: &str, name: &str) -> bool {
    if let Some(inner) = pattern.strip_prefix('/') {
        let whole = format!("^({})$", inner.trim_end_matches('/'));
        return regex::Regex::new(&whole).unwrap().is_match(name);
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    naive_glob(&pattern, &name)
}

fn job_name() -> impl Strategy<Value = String> {
    "[ab./数_]{0,6}"
}

fn pattern_text() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[ab.数_*?][ab./数_*?]{0,5}", 1 => "/[ab]{1,3}[.]?[ab]?[+*]?/"]
}

prop_compose! {
    fn any_rule()(
        jobs in prop::collection::vec(pattern_text(), 0..3),
        not in prop::collection::vec(pattern_text(), 0..2),
        sources in prop::collection::vec(0..3usize, 0..2),
    ) -> (Vec<String>, Vec<String>, Vec<usize>) {
        (jobs, not, sources)
    }
}

proptest! {
    #[test]
    fn the_set_finds_what_each_rule_by_itself_would(
        rules in prop::collection::vec(any_rule(), 0..12),
        names in prop::collection::vec((0..3usize, job_name()), 1..12),
    ) {
        let source = |number: usize| SourceId::new(format!("source-{number}"));
        let parse = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        let compiled = RuleSet::compile(
            rules
                .iter()
                .map(|(jobs, not, sources)| {
                    let sources = sources.iter().map(|number| source(*number)).collect();
                    let matches = Matches { sources, jobs: parse(jobs), not: parse(not), ..Matches::default() };
                    rule("r", matches, Condition::default())
                })
                .collect(),
        )
        .unwrap();
        let mut cache = MatchCache::default();
        for (number, name) in &names {
            let expected: Vec<usize> = rules
                .iter()
                .enumerate()
                .filter(|(_, (jobs, not, sources))| {
                    (jobs.is_empty() || jobs.iter().any(|pattern| naive_pattern(pattern, name)))
                        && !not.iter().any(|pattern| naive_pattern(pattern, name))
                        && (sources.is_empty() || sources.contains(number))
                })
                .map(|(index, _)| index)
                .collect();
            for _ in 0..2 {
                prop_assert_eq!(&*compiled.matching(&source(*number), name, &mut cache), &expected[..], "{}", name);
            }
        }
    }
}
