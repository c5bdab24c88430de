//! Templates that are right, wrong and hostile.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::model::{AlertFacts, Escalation, HeldBack, MessageData, MessageKind, ReceiverId};
use crate::words::Language;

fn compile(kind: OutputKind, text: &str) -> Result<TemplateSet, Vec<String>> {
    let text: &'static str = Box::leak(text.to_string().into_boxed_str());
    let built_in = [BuiltIn { part: "body", file: "body.hbs", kind, text }];
    TemplateSet::compile(&built_in, &[], Form::Alert).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn locale() -> Locale {
    Locale {
        timezone: TimeZone::get("Asia/Shanghai").unwrap(),
        receiver: ReceiverId::new("oncall"),
        language: Language::En,
    }
}

fn rendered(kind: OutputKind, text: &str) -> Result<String, String> {
    let message = sample_message(crate::model::MessageKind::AlertFiring, "2026-11-21T00:06:06Z".parse().unwrap());
    let set = compile(kind, text).map_err(|found| found.join("\n"))?;
    Ok(set.render(&message, &locale())?.part("body").to_string())
}

#[test]
fn helpers_and_names_give_what_they_say() {
    let table = [
        ("{{local data.alert.starts_at}}", "2026-11-21 08:05:03 +08:00"),
        ("{{local data.alert.starts_at \"short\"}}", "08:05"),
        ("[{{local data.alert.ends_at}}]", "[]"),
        ("{{duration data.instance.duration_ms}}", "1m"),
        ("{{truncate data.job.name 5}}", "etl_…"),
        ("{{upper data.alert.severity}}", "CRITICAL"),
        ("{{pick data.alert.severity critical=\"!!\" else=\"!\"}}", "!!"),
        ("{{pick data.alert.severity warning=\"w\" else=\"other\"}}", "other"),
        ("{{#if data.instance.url}}link{{else}}no link{{/if}}", "no link"),
        ("{{#if (eq data.alert.state \"firing\")}}on{{else if data.job.id}}id{{else}}off{{/if}}", "on"),
        ("{{#each data.failing_nodes}}{{@index}}:{{name}}/{{../data.job.name}}{{/each}}", "0:load_orders/etl_orders"),
        (
            "{{#each data.failing_nodes as |node i|}}{{i}} {{node.name}} {{@root.data.job.id}}{{/each}}",
            "0 load_orders 608627",
        ),
        ("{{#with data.job}}{{name}} {{./id}}{{/with}}", "etl_orders 608627"),
        ("{{data.failing_nodes.[0].name}}", "load_orders"),
        ("{{receiver.id}} {{receiver.timezone}} {{type}}", "oncall Asia/Shanghai alert.firing"),
        ("{{#if (gt (len data.failing_nodes) 5)}}many{{else}}few{{/if}}", "few"),
        ("{{!-- {{#if nothing}} --}}x", "x"),
    ];
    for (template, expected) in table {
        assert_eq!(rendered(OutputKind::Plain, template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    use OutputKind::{Html, Json, Plain, Slack};
    let table = [
        (
            Plain,
            "{{job.nmae}}",
            "1:1: unknown name \"job\" in \"job.nmae\"; the names here are command, data, description, headline, lately, level, receiver, short_id, subject, summary, times, timestamp, type, when",
        ),
        (Plain, "x\n  {{data.job.nmae}}", "2:3: unknown name \"nmae\" in \"data.job.nmae\"; did you mean \"name\"?"),
        (Plain, "{{#if data.alert.serverity}}x{{/if}}", "1:1: unknown name \"serverity\""),
        (Plain, "{{#unless data.x}}x{{/unless}}", "1:1: unknown name \"x\" in \"data.x\""),
        (Plain, "{{#each data.nodes}}{{name}}{{/each}}", "1:1: unknown name \"nodes\""),
        (
            Plain,
            "{{#each data.failing_nodes}}\n{{nmae}}{{/each}}",
            "2:1: unknown name \"nmae\"; did you mean \"name\"?",
        ),
        (Plain, "{{#with data.job}}{{data.job.name}}{{/with}}", "1:19: unknown name \"data\""),
        (
            Plain,
            "{{#if (eq data.alert.sate \"x\")}}{{/if}}",
            "unknown name \"sate\" in \"data.alert.sate\"; did you mean \"state\"?",
        ),
        (Plain, "{{#if type}}{{else}}{{typo}}{{/if}}", "unknown name \"typo\"; did you mean \"type\"?"),
        (Plain, "{{pick data.alert.severity critical=data.x}}", "unknown name \"x\""),
        (Plain, "{{@index}}", "\"@index\" is known inside {{#each}} only"),
        (Plain, "{{../data}}", "leads out of the data"),
        (Plain, "{{data.job.name.first}}", "what stands before it is one value"),
        (
            Plain,
            "{{data.job}}",
            "\"data.job\" is not one value but several; the names here are create_user, id, last_instance_end_time, last_instance_status, name, node, owner, real_time_job, status, workflow",
        ),
        (Plain, "{{data.failing_nodes}}", "a list is read with {{#each}}"),
        (Plain, "{{lcoal data.alert.starts_at}}", "there is no helper \"lcoal\"; did you mean \"local\"?"),
        (Plain, "{{local}}", "the helper \"local\" takes 1 to 2 values, not 0"),
        (Plain, "{{upper type x=1}}", "takes no key=value pairs"),
        (Plain, "{{lookup data \"job\"}}", "there is no helper \"lookup\""),
        (Plain, "{{log \"x\"}}", "there is no helper \"log\""),
        (Plain, "{{json data}}", "works in JSON templates only"),
        (Plain, "{{if data}}", "\"if\" is a block"),
        (Plain, "{{#fi data}}{{/fi}}", "there is no block {{#fi}}; did you mean {{#if}}?"),
        (Plain, "{{> other}}", "partials"),
        (Plain, "{{#> other}}{{/other}}", "partials"),
        (Plain, "{{* inline}}", "decorators"),
        (Plain, "{{#if type}}x", "not readable"),
        (Plain, "{{type", "not readable"),
        (Plain, "{{#if type}}x{{/each}}", "{{#if}} is closed by {{/each}}"),
        (Plain, "{{#each data.job}}{{/each}}", "{{#each}} wants a list"),
        (Html, "{{{data.job.name}}}", "unescaped output"),
        (Json, "\"{{&data.job.name}}\"", "unescaped output"),
        (Slack, "\"{{{data.job.name}}}\"", "unescaped output"),
    ];
    for (kind, template, expected) in table {
        let found = compile(kind, template).expect_err(template).join("\n");
        assert!(found.contains(expected), "{template}\n  expected: {expected}\n  found: {found}");
    }
}

#[test]
fn every_problem_of_a_template_is_said_at_once() {
    let found = compile(OutputKind::Plain, "{{a}}\n{{b}}\n{{> c}}\n").unwrap_err();
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn nesting_that_would_overflow_the_stack_is_refused() {
    let deep = |n: usize| format!("{}x{}", "{{#if type}}".repeat(n), "{{/if}}".repeat(n));
    assert!(compile(OutputKind::Plain, &deep(32)).is_ok());
    let chain = |n: usize| format!("{{{{#if type}}}}{}{{{{/if}}}}", "{{else if type}}".repeat(n));
    let subs = format!("{{{{#if {}type{}}}}}{{{{/if}}}}", "(not ".repeat(2000), ")".repeat(2000));
    let list = format!("{{{{#if {}{}}}}}{{{{/if}}}}", "[".repeat(2000), "]".repeat(2000));
    for template in [deep(33), deep(2000), chain(40), chain(3000), subs, list] {
        let found = compile(OutputKind::Plain, &template).unwrap_err().join("\n");
        assert!(found.contains("nested deeper"), "{found}");
    }
    let loops = "{{#each data.failing_nodes}}{{#each @root.data.failing_nodes}}{{#each @root.data.failing_nodes}}\
        {{/each}}{{/each}}{{/each}}";
    assert!(compile(OutputKind::Plain, loops).unwrap_err().join("").contains("loops are nested"));
    let large = "x".repeat((64 << 10) + 1);
    assert!(compile(OutputKind::Plain, &large).unwrap_err().join("").contains("larger than 64 KiB"));
}

#[test]
fn output_is_capped() {
    let block = format!("{{{{#each data.failing_nodes}}}}{}{{{{/each}}}}", "x".repeat(60_000));
    let set = compile(OutputKind::Plain, &block).unwrap();
    let found = set.check_with_sample(Language::En);
    assert!(found[0].message.contains("the output is longer than 256 KiB"), "{found:?}");
}

#[test]
fn json_output_must_be_json() {
    let set = compile(OutputKind::Json, "{\"a\": {{data.instance.duration_ms}} }").unwrap();
    let found = set.check_with_sample(Language::En);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("not valid JSON") && found[0].message.contains("null"), "{found:?}");
}

#[test]
fn an_alert_about_a_job_needs_a_guard_around_the_instance() {
    let set = compile(OutputKind::Plain, "{{data.job.name}} {{data.instance.id}}").unwrap();
    assert!(set.check_with_sample(Language::En).is_empty(), "who has no rule about jobs needs no guard");
    assert!(set.check_about_jobs(Language::En)[0].message.contains("data.instance.id"));
    let set =
        compile(OutputKind::Plain, "{{data.job.status}} {{#if data.instance}}{{data.instance.id}}{{/if}}").unwrap();
    assert!(set.check_about_jobs(Language::En).is_empty());
}

#[test]
fn a_replacement_for_an_unknown_part_is_said() {
    let built_in = [BuiltIn { part: "subject", file: "subject.txt.hbs", kind: OutputKind::Header, text: "x" }];
    let stray = Override { part: "subjct".into(), file: "mine.hbs".into(), text: "x".into() };
    let found = TemplateSet::compile(&built_in, &[stray], Form::Alert).unwrap_err();
    assert!(found[0].message.contains("did you mean \"subject\""), "{found:?}");
}

#[test]
fn values_of_the_data_are_never_read_as_templates_or_markup() {
    let hostile = samples().into_iter().find(|(name, _)| name == "alert.firing hostile").unwrap().1;
    let html = compile(OutputKind::Html, "<p title=\"{{data.job.name}}\">{{data.job.name}}</p>").unwrap();
    let out = html.render(&hostile, &locale()).unwrap();
    assert!(!out.part("body").contains("<script") && out.part("body").contains("{{data.alert.id}}"));
    let header = compile(OutputKind::Header, "Job:\n {{data.job.name}}").unwrap();
    assert!(!header.render(&hostile, &locale()).unwrap().part("body").contains(['\r', '\n', '\0', '\u{202e}']));
}

proptest! {
    #[test]
    fn no_text_makes_the_check_panic(pieces in proptest::collection::vec(piece(), 0..12)) {
        drop(compile(OutputKind::Html, &pieces.concat()));
    }
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{{"),
        Just("}}"),
        Just("{{{"),
        Just("}}}"),
        Just("{{#if "),
        Just("{{/if}}"),
        Just("{{else}}"),
        Just("{{else if "),
        Just("{{^}}"),
        Just("{{#each data.failing_nodes}}"),
        Just("{{/each}}"),
        Just("("),
        Just(")"),
        Just("["),
        Just("]"),
        Just("{{!--"),
        Just("--}}"),
        Just("data.job.name"),
        Just("@index"),
        Just("../"),
        Just(" as |a b|"),
        Just("\\"),
        Just("\""),
        Just("'"),
        Just("=1"),
        Just("this"),
        Just("~"),
        Just("\n"),
        Just("é订"),
        Just("{{{{raw}}}}"),
        Just("{{{{/raw}}}}"),
        Just("{{>x}}"),
        Just("{{#*inline \"x\"}}"),
        Just("local"),
        Just(" "),
        Just("."),
        Just("@root"),
    ]
    .prop_map(str::to_string)
}

fn chinese() -> Locale {
    Locale { language: Language::Zh, ..locale() }
}

/// A message that goes to further people, or that was held back, is made long after its alert was noticed: it said that the
/// alert had been noticed only then.
#[test]
fn a_late_message_does_not_say_that_its_alert_was_noticed_late() {
    let set = compile(OutputKind::Plain, "{{t \"since_noticed\" at=\"then\" after=(noticed data.alert)}}").unwrap();
    let said = |change: fn(&mut AlertFacts)| {
        let mut message = sample_message(MessageKind::AlertFiring, "2026-11-21T00:05:03Z".parse().unwrap());
        let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
        change(facts);
        set.render(&message, &locale()).unwrap().part("body").to_string()
    };
    assert_eq!(said(|_| ()), "then (noticed 1m 3s later)");
    let escalation = |facts: &mut AlertFacts| {
        let (told, unreached) = (Vec::new(), Vec::new());
        facts.alert.escalation =
            Some(Box::new(Escalation { step: 2, after_ms: 60_000, told, unreached, acked_by: None }));
    };
    assert_eq!(said(escalation), "then");
    let held_back = |facts: &mut AlertFacts| {
        facts.alert.held_back = Some(Box::new(HeldBack {
            by: "mute-window:nights".into(),
            who: None,
            reason: None,
            until: facts.alert.starts_at,
        }));
    };
    assert_eq!(said(held_back), "then");
}

/// What Nightbell says comes in the receiver's language; what others say stays; all of it is escaped.
#[test]
fn words_are_the_receivers_and_values_are_escaped() {
    let text = "{{t \"retried\" n=2}}|{{word data.instance.status}}|{{word data.job.name}}|{{data.alert.summary}}|\
                {{elapsed data.alert.starts_at}}|{{duration data.instance.duration_ms}}|{{upper (word level)}}|\
                {{t \"node_unknown\" why=data.job.name}}|{{receiver.language}}";
    let set = compile(OutputKind::Html, text).unwrap();
    let mut message = sample_message(MessageKind::AlertFiring, "2026-11-21T00:05:03Z".parse().unwrap());
    let MessageData::Alert(facts) = &mut message.data else { panic!("one alert") };
    facts.job.name = "<b>".into();
    let said = |locale: &Locale| set.render(&message, locale).unwrap().part("body").to_string();
    assert_eq!(
        said(&locale()),
        "retried twice|fail|&lt;b&gt;|etl_orders failed after 1m 0s|1m 3s|1m|CRITICAL|\
         Node details &lt;b&gt;|en"
    );
    assert_eq!(
        said(&chinese()),
        "重试 2 次|失败|&lt;b&gt;|&lt;b&gt; 运行 1 分钟后失败|1 分 3 秒|1 分钟|紧急|节点详情&lt;b&gt;|zh"
    );
}

#[test]
fn dates_of_another_day_are_written_as_the_language_does() {
    let set = compile(OutputKind::Plain, "{{local data.instance.plan_time \"short\"}}").unwrap();
    let message = sample_message(MessageKind::AlertFiring, "2026-11-20T16:01:00Z".parse().unwrap());
    assert_eq!(set.render(&message, &locale()).unwrap().part("body"), "20 Nov 23:57");
    assert_eq!(set.render(&message, &chinese()).unwrap().part("body"), "11月20日 23:57");
}

#[test]
fn what_is_wrong_with_a_phrase_is_said_with_its_place() {
    let table = [
        ("{{t \"sicne\"}}", "body.hbs:1:1: there is no phrase \"sicne\"; did you mean \"since\"?"),
        ("{{t \"retried\"}}", "body.hbs:1:1: the phrase \"retried\" needs a value: n=…"),
        ("{{t data.job.name}}", "body.hbs:1:1: the helper \"t\" takes the key of a phrase in quotes: {{t \"since\"}}"),
        ("{{truncate (t \"jbo\") 9}}", "body.hbs:1:1: there is no phrase \"jbo\"; did you mean \"job\"?"),
    ];
    for (text, expected) in table {
        assert_eq!(compile(OutputKind::Plain, text).unwrap_err(), [expected], "{text}");
    }
}
