//! The located tree: places, texts verbatim, duplicates, variables, and what is never shown.

use nightbell::secret::SecretRef;
use nightbell::yaml::{
    Diagnostic, Diagnostics, Environment, Key, Keys, Node, OneOrMany, Section, Shape, Value, duration_text, parse,
    parse_duration,
};
use proptest::prelude::*;

const CANARY: &str = "CANARY7f3a";

fn parse_with(text: &str, required: bool) -> (Option<Node>, Vec<Diagnostic>) {
    let findings = Diagnostics::new("/base");
    let lookup = |name: &str| match name {
        "NAME" => Some("value".to_string()),
        "EMPTY" => Some(String::new()),
        "SECRET" => Some(CANARY.to_string()),
        _ => None,
    };
    let tree = parse(text, &Environment { lookup: &lookup, required }, &findings);
    (tree, findings.into_sorted())
}

fn tree(text: &str) -> Node {
    let (tree, findings) = parse_with(text, true);
    assert_eq!(findings, [], "{text}");
    tree.unwrap()
}

/// Every key and value as `path@line:column` or `path@line:column=text`, keys first.
fn places(node: &Node, path: &str, into: &mut Vec<String>) {
    let at = format!("{path}@{}:{}", node.at.line, node.at.column);
    match &node.value {
        Value::Null => into.push(format!("{at}=~")),
        Value::Scalar(scalar) => into.push(format!("{at}={}", scalar.text)),
        Value::List(items) => {
            into.push(format!("{at}[]"));
            items.iter().enumerate().for_each(|(index, item)| places(item, &format!("{path}.{index}"), into));
        }
        Value::Map(entries) => {
            into.push(format!("{at}{{}}"));
            for entry in entries {
                into.push(format!("{path}.{}@@{}:{}", entry.key, entry.at.line, entry.at.column));
                places(&entry.node, &format!("{path}.{}", entry.key), into);
            }
        }
    }
}

fn places_of(text: &str) -> Vec<String> {
    let mut into = Vec::new();
    places(&tree(text), "", &mut into);
    into
}

fn text_of<'a>(node: &'a Node, key: &str) -> &'a str {
    let Value::Map(entries) = &node.value else { panic!("no mapping") };
    match &entries.iter().find(|entry| entry.key == key).unwrap().node.value {
        Value::Scalar(scalar) => &scalar.text,
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn every_kind_of_value_knows_its_place() {
    let table: &[(&str, &[&str])] = &[
        ("a: b", &["@1:1{}", ".a@@1:1", ".a@1:4=b"]),
        ("a:\n  - x\n  - - y1\n", &["@1:1{}", ".a@@1:1", ".a@2:3[]", ".a.0@2:5=x", ".a.1@3:5[]", ".a.1.0@3:7=y1"]),
        (
            "{a: [1, 'x'], \"b\": {}}",
            &["@1:1{}", ".a@@1:2", ".a@1:5[]", ".a.0@1:6=1", ".a.1@1:9=x", ".b@@1:15", ".b@1:20{}"],
        ),
        // Columns count characters, not bytes.
        ("数据: {任务: 1.0}\n", &["@1:1{}", ".数据@@1:1", ".数据@1:5{}", ".数据.任务@@1:6", ".数据.任务@1:10=1.0"]),
        ("'é': \"ü\"  # ö\nb: 'ß'", &["@1:1{}", ".é@@1:1", ".é@1:6=ü", ".b@@2:1", ".b@2:4=ß"]),
        ("🔔: x", &["@1:1{}", ".🔔@@1:1", ".🔔@1:4=x"]),
        // A block scalar's place is its first line.
        (
            "a: |\n  one\n  two\nb: >-\n  fold\n  ed\n",
            &["@1:1{}", ".a@@1:1", ".a@2:3=one\ntwo\n", ".b@@4:1", ".b@5:3=fold ed"],
        ),
        ("a: \"multi\n  line\"\nb: x\n", &["@1:1{}", ".a@@1:1", ".a@1:4=multi line", ".b@@3:1", ".b@3:4=x"]),
        // An alias stands where it is used; what is inside it too.
        ("a: &n 0123\nb: *n\n", &["@1:1{}", ".a@@1:1", ".a@1:7=0123", ".b@@2:1", ".b@2:4=0123"]),
        (
            "a: &n {k: 01}\nb: *n\n",
            &[
                "@1:1{}",
                ".a@@1:1",
                ".a@1:7{}",
                ".a.k@@1:8",
                ".a.k@1:11=01",
                ".b@@2:1",
                ".b@2:4{}",
                ".b.k@@2:4",
                ".b.k@2:4=01",
            ],
        ),
        ("? a\n: b\n", &["@1:1{}", ".a@@1:3", ".a@2:3=b"]),
        // A value that is not there has the place of the colon.
        (
            "a:\nb: ~\nc: null\nd:\n\n\n",
            &["@1:1{}", ".a@@1:1", ".a@1:2=~", ".b@@2:1", ".b@2:4=~", ".c@@3:1", ".c@3:4=~", ".d@@4:1", ".d@4:2=~"],
        ),
        ("a: 1\r\nb: [\r\n  0123 ]\r\n", &["@1:1{}", ".a@@1:1", ".a@1:4=1", ".b@@2:1", ".b@2:4[]", ".b.0@3:3=0123"]),
    ];
    for (text, expected) in table {
        assert_eq!(places_of(text), *expected, "{text}");
    }
}

#[test]
fn scalars_keep_the_text_they_were_written_as() {
    let plain = [
        "0123",
        "1.10",
        "no",
        "Yes",
        "on",
        "off",
        "y",
        "true",
        "12:30",
        "9007199254740993",
        "0x1F",
        "0o17",
        "0b11",
        "1_000",
        "+5",
        "-0",
        "1e999",
        "-1e999",
        ".nan",
        ".inf",
        "-.inf",
        "1e3",
        "2026-11-21",
        "00:45",
        "1.",
        ".5",
        "340282366920938463463374607431768211456",
        "x y",
        "it's",
        "a#b",
        "a:b",
        "-x",
        "*".trim_start_matches('*'),
    ];
    for written in plain.iter().filter(|written| !written.is_empty()) {
        for (text, key) in [
            (format!("k: {written}\n"), "k"),
            (format!("k: {written}   # a comment\n"), "k"),
            (format!("k: '{}'\n", written.replace('\'', "''")), "k"),
            (format!("{{k: {written} }}\n"), "k"),
            (format!("数: 1\nk: {written}"), "k"),
            (format!("a: &n {written}\nk: *n\n"), "k"),
        ] {
            assert_eq!(text_of(&tree(&text), key), *written, "{text:?}");
        }
    }
    for null in ["~", "null", "Null", "NULL", ""] {
        let Value::Map(entries) = tree(&format!("k: {null}\n")).value else { panic!() };
        assert_eq!(entries[0].node.value, Value::Null, "{null:?}");
    }
    assert_eq!(text_of(&tree("k: 'null'"), "k"), "null");
    assert_eq!(text_of(&tree("k: ''"), "k"), "");
}

#[test]
fn duplicates_are_found_at_every_level_all_at_once() {
    let text = "a: 1\na: 2\nb: {c: 1, c: 2, 'c': 3}\nd:\n  - {e: 1, e: 2}\n  - f:\n      g: 1\n      \"g\": 2\n";
    let (_, findings) = parse_with(text, true);
    let found: Vec<String> =
        findings.iter().map(|found| format!("{}@{}:{}", found.path, found.at.line, found.at.column)).collect();
    assert_eq!(found, ["a@2:1", "b.c@3:11", "b.c@3:17", "d[0].e@5:12", "d[1].f.g@8:7"]);
    assert!(findings[1].message.contains("the first one is at 3:5"), "{findings:?}");
}

#[test]
fn duplicates_among_number_keys_are_not_swallowed() {
    for (text, expected) in [
        ("1: x\n1: y\n", vec!["1@2:1"]),
        ("7: {a: 1}\nb: 1\n07: {a: 2}\nb: 2\n", vec!["b@4:1"]),
        ("r:\n  0x10: a\n  16: b\n  z: 1\n  z: 2\n  17: c\n", vec!["r.16@3:3", "r.z@5:3"]),
        ("7: a\n07: b\n7: c\n", vec!["7@3:1"]),
        ("r: [{1: a, 1: b}]\n", vec!["r[0].1@1:12"]),
        ("b: 1\nb: 2\n5: {c: 1, c: 2}\n", vec!["b@2:1", "5.c@3:11"]),
        ("1: a\n2: b\n10: c\n-1: d\n", vec![]),
        ("2026-11-21: a\n2026-11-22: b\n", vec![]),
    ] {
        let (_, findings) = parse_with(text, true);
        let found: Vec<String> =
            findings.iter().map(|found| format!("{}@{}:{}", found.path, found.at.line, found.at.column)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn merged_and_aliased_mappings_are_no_duplicates() {
    assert_eq!(text_of(&tree("x: &b {p: 1, q: 2}\nc: &d\n  <<: *b\n  p: 3\ne: f\n"), "e"), "f");
    // The copies of a mapping with duplicates are not reported again.
    let (_, findings) = parse_with("a: &n {k: 1, k: 2}\nb: *n\nc: *n\n", true);
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn variables_are_replaced_inside_values() {
    for (written, expected) in [
        ("${NAME}", "value"),
        ("\"q ${NAME} r\"", "q value r"),
        ("'${MISSING:-default}'", "default"),
        ("${EMPTY:-default}", "default"),
        ("${NAME:-default}", "value"),
        ("${MISSING:-}", ""),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$${NAME}"),
        ("$NAME", "$NAME"),
        ("a$", "a$"),
        ("${NAME}${NAME}", "valuevalue"),
        ("${MISSING:-a:-b}", "a:-b"),
        ("数${NAME}据", "数value据"),
    ] {
        assert_eq!(text_of(&tree(&format!("k: {written}")), "k"), expected, "{written}");
    }
    // A value is data: it cannot become YAML.
    let findings = Diagnostics::new("");
    let lookup = |_: &str| Some("x\nother: [1]".to_string());
    let tree = parse("k: ${X}", &Environment { lookup: &lookup, required: true }, &findings).unwrap();
    assert_eq!(text_of(&tree, "k"), "x\nother: [1]");
    // Keys are not replaced.
    assert_eq!(text_of(&self::tree("${NAME}: v"), "${NAME}"), "v");
}

#[test]
fn variables_without_a_value_are_reported_unless_offline() {
    for (written, words) in [
        ("${MISSING}", "variable MISSING is not set"),
        ("${EMPTY}", "variable EMPTY is not set"),
        ("\"x ${open\"", "without a closing"),
        ("${}", "is not a valid name"),
        ("${1}", "is not a valid name"),
        ("${A B}", "is not a valid name"),
        ("${NAME:+x}", "is not a valid name"),
    ] {
        let (_, findings) = parse_with(&format!("a: 1\nk: {written}"), true);
        assert_eq!(findings.len(), 1, "{written}: {findings:?}");
        assert!(findings[0].message.contains(words), "{written}: {findings:?}");
        assert_eq!((findings[0].at.line, findings[0].at.column, findings[0].path.as_str()), (2, 4, "k"));
    }
    let (tree, findings) = parse_with("k: a ${MISSING} b", false);
    assert_eq!((text_of(&tree.unwrap(), "k"), findings.len()), ("a ${MISSING} b", 0));
}

#[test]
fn broken_text_is_told_with_a_place_and_without_its_values() {
    for (text, line, words) in [
        ("a: \"CANARY7f3a\nb: c\n", 2, "quoted text is not closed"),
        ("a: 'CANARY7f3a", 1, "quote"),
        ("a:\n\t- CANARY7f3a\n", 2, "a tab"),
        ("a: b\n c: CANARY7f3a\n", 2, "no key can be"),
        ("a: *CANARY7f3a\n", 1, "an alias"),
        ("a: @CANARY7f3a\n", 1, "cannot begin a text"),
        ("a: `CANARY7f3a\n", 1, "cannot begin a text"),
        ("a: %CANARY7f3a\n", 1, "cannot begin a text"),
        ("a: [1, CANARY7f3a\nb: c\n", 2, "not closed"),
        ("a: {b: CANARY7f3a\n", 1, "not closed"),
        ("- a\nb: CANARY7f3a\n", 2, "next \"-\""),
        ("a: !!int CANARY7f3a\n", 1, "its tag"),
        ("a: !!binary CANARY7f3a*\n", 1, "its tag"),
        ("a: !CANARY7f3a x\n", 1, "a tag"),
        ("a: 1\n---\nb: CANARY7f3a\n", 3, "more than one document"),
        ("~: CANARY7f3a\n", 1, "a key is empty"),
        ("[CANARY7f3a]: d\n", 1, "a key is a list"),
        ("a: &x [*x, CANARY7f3a]\n", 1, "inside its own anchor"),
        ("a: |\n CANARY7f3a\n\tb\nc\n", 3, "indented"),
    ] {
        let (tree, findings) = parse_with(text, true);
        assert!(tree.is_none() && findings.len() == 1, "{text}: {findings:?}");
        assert!(findings[0].message.contains(words), "{text}: {findings:?}");
        assert_eq!(findings[0].at.line, line, "{text}: {findings:?}");
        assert!(!findings[0].render("f.yaml", text).contains(CANARY), "{text}");
    }
}

/// Whatever is wrong beside it, and wherever in the file it stands, a secret in plain text is not shown again.
#[test]
fn secrets_are_never_rendered() {
    let sections = ["sources", "receivers", "recievers", "other"];
    let shapes = [
        "KEY:\n  x: { type: t, hook: CANARY7f3a }\n",
        "KEY:\n  x:\n    hook: CANARY7f3a\n    hook: CANARY7f3a\n",
        "KEY:\n  x:\n    hook: >\n      CANARY7f3a\n    hook: 1\n",
        "KEY:\n  x:\n    hook: [CANARY7f3a]\n",
        "KEY:\n  - CANARY7f3a\n",
        "KEY: CANARY7f3a\n",
        "KEY:\n  x:\n    secret: { env: A, file: b, CANARY7f3a }\n",
        "{KEY: {x: {hook: CANARY7f3a}}}\n",
        "KEY:\n  x:\n    hook: \"CANARY7f3a\n  y: 1\n",
        "rules:\n  r:\n    notify: { webhook_url: CANARY7f3a }\n",
        "store: mysql://u:CANARY7f3a@h\n",
        "rules: {}\n? KEY\n: CANARY7f3a\n",
    ];
    let mut seen = 0;
    for section in sections {
        for shape in shapes {
            let text = shape.replace("KEY", section);
            let findings = Diagnostics::new("");
            let environment = Environment { lookup: &|_| None, required: false };
            if let Some(tree) = parse(&text, &environment, &findings) {
                report_everything(&tree, &findings);
            }
            for finding in findings.into_sorted() {
                seen += 1;
                let shown = finding.render("f.yaml", &text);
                assert!(!shown.contains(CANARY), "{text}\n{shown}");
            }
        }
    }
    assert!(seen > 60, "only {seen} findings were looked at");
}

/// The keys of the tests.
static LETTERS: Keys = Keys::of(
    "letters",
    "Letters.",
    &[&[
        Key::new("a", Shape::Text, "A letter."),
        Key::new("b", Shape::Text, "A letter."),
        Key::new("c", Shape::Text, "A letter."),
        Key::new("d", Shape::Text, "A letter."),
        Key::new("e", Shape::Text, "A letter."),
        Key::new("f", Shape::Text, "A letter."),
        Key::new("g", Shape::Text, "A letter."),
    ]],
);

/// A finding at every place of the tree.
fn report_everything(node: &Node, findings: &Diagnostics) {
    findings.error(node.at, "path", "wrong", None);
    let _ = Section::of(&LETTERS, node, "section", findings);
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| report_everything(item, findings)),
        Value::Map(entries) => entries.iter().for_each(|entry| {
            findings.error(entry.at, "path", "wrong", None);
            report_everything(&entry.node, findings);
        }),
        Value::Null | Value::Scalar(_) => {}
    }
}

#[test]
fn secret_references_are_read_and_remembered() {
    let findings = Diagnostics::new("/base");
    let text = "a: { env: TOKEN }\nb: { file: token }\nc: plain\nd: { env: A, file: b }\ne: {}\nf: ''\ng: ${SECRET}\n";
    let environment = Environment { lookup: &|_| Some(CANARY.into()), required: true };
    let tree = parse(text, &environment, &findings).unwrap();
    let section = Section::of(&LETTERS, &tree, "", &findings).unwrap();
    let read = |key| format!("{:?}", section.optional::<SecretRef>(key));
    assert_eq!(read("a"), "Some(env TOKEN)");
    assert_eq!(read("b"), "Some(file /base/token)");
    assert_eq!((read("c"), read("g")), ("Some(<secret>)".into(), "Some(<secret>)".into()));
    assert_eq!((read("d"), read("e"), read("f")), ("None".into(), "None".into(), "None".into()));
    let noted: Vec<String> =
        findings.noted_secrets().iter().map(|noted| format!("{}@{}", noted.path, noted.at.line)).collect();
    assert_eq!(noted, ["a@1", "b@2"]);
    let found: Vec<u32> = findings.into_sorted().iter().map(|found| found.at.line).collect();
    // A text that came from the environment is not in the file, and earns no warning.
    assert_eq!(found, [3, 4, 5, 6]);
}

#[test]
fn one_or_many_reports_each_wrong_item() {
    let findings = Diagnostics::new("");
    let environment = Environment { lookup: &|_| None, required: true };
    let tree = parse("a: [1, x, 2, y]\nb: 3\nc: []\nd: {}\n", &environment, &findings).unwrap();
    let section = Section::of(&LETTERS, &tree, "", &findings).unwrap();
    assert_eq!(section.optional::<OneOrMany<u32>>("a"), None);
    assert_eq!(section.optional::<OneOrMany<u32>>("b"), Some(OneOrMany(vec![3])));
    assert_eq!(section.optional::<OneOrMany<u32>>("c"), None);
    assert_eq!(section.optional::<OneOrMany<u32>>("d"), None);
    let found: Vec<(u32, u32, String)> =
        findings.into_sorted().into_iter().map(|found| (found.at.line, found.at.column, found.path)).collect();
    assert_eq!(found, [(1, 8, "a[1]".into()), (1, 14, "a[3]".into()), (3, 4, "c".into()), (4, 4, "d".into())]);
}

#[test]
fn durations_are_read_as_written_and_shown_as_people_read_them() {
    for (text, seconds) in [
        ("45s", 45),
        ("45m", 2700),
        ("2h30m", 9000),
        ("2h 30m", 9000),
        ("1d", 86_400),
        ("1w", 604_800),
        (" 5min ", 300),
    ] {
        assert_eq!(parse_duration(text).map(|duration| duration.as_secs()), Some(seconds), "{text}");
    }
    for text in [
        "",
        "0",
        "0s",
        "5",
        "-5m",
        "+5m",
        "1.5h",
        "30m2h",
        "5m5m",
        "m",
        "5 m 3",
        "1h-1m",
        "99999999999999999999s",
        "9999999w",
        "1y",
        "1M",
        "5M",
        "PT5M",
        "٣m",
        "5m!",
        "1d0",
    ] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
    let shown = |millis| duration_text(std::time::Duration::from_millis(millis));
    assert_eq!(
        [shown(0), shown(850), shown(45_000), shown(60_000), shown(9_000_000), shown(273_600_000)],
        ["0ms", "850ms", "45s", "1m", "2h 30m", "3d 4h"]
    );
}

#[test]
fn findings_come_in_file_order_and_once() {
    let findings = Diagnostics::new("");
    let at = |line, column| nightbell::yaml::Place { file: 0, line, column };
    findings.warning(at(2, 1), "b", "second", None);
    findings.error(at(10, 1), "c", "last", None);
    findings.error(at(2, 1), "b", "first", None);
    findings.error(at(1, 9), "a", "very first", None);
    findings.error(at(2, 1), "b", "first", None);
    let words: Vec<String> = findings.into_sorted().into_iter().map(|found| found.message).collect();
    assert_eq!(words, ["very first", "first", "second", "last"]);
}

proptest! {
    /// No text makes the parser panic, and none that fails does so without a finding.
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c:\\-\\[\\]{}\"'&*!|>%@#?,~ \n\t$\u{6570}0-9.]{0,80}") {
        let (tree, findings) = parse_with(&text, true);
        prop_assert!(tree.is_some() || !findings.is_empty());
        for finding in &findings {
            prop_assert!(finding.at.line >= 1 && finding.at.column >= 1);
            let _ = finding.render("f.yaml", &text);
        }
    }

    /// A quoted text of any characters comes back as it is, at its place.
    #[test]
    fn quoted_texts_come_back(key in "[a-z\u{6570}\u{1f514}]{1,5}", value in "[^$\\p{C}]{0,20}") {
        let text = format!("{key}: {}\n", serde_json::to_string(&value).unwrap());
        let tree = tree(&text);
        prop_assert_eq!(text_of(&tree, &key), value.as_str());
        let Value::Map(entries) = &tree.value else { panic!() };
        prop_assert_eq!(entries[0].node.at.column as usize, key.chars().count() + 3);
    }
}
