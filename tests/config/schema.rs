//! The schema for editors against the readers: it accepts what they accept, refuses what they refuse for its shape, and
//! knows the same keys.

use std::collections::BTreeSet;
use std::path::Path;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, ValidationError};
use nightbell::config::{Config, LoadOptions, schema};
use nightbell::words::Language;
use nightbell::yaml::{Diagnostic, Level};
use serde_json::Value;

use super::{data, mutations};

/// The schema, compiled.
pub(super) struct Editor {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Editor {
    pub(super) fn new() -> Editor {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("nightbell.schema.json", schema(false)).unwrap();
        let index = compiler.compile("nightbell.schema.json", &mut schemas).unwrap_or_else(|fault| panic!("{fault:#}"));
        Editor { schemas, index }
    }

    /// What an editor would mark; nothing for a sound file.
    pub(super) fn marks(&self, file: &Value) -> Option<String> {
        self.schemas.validate(file, self.index).err().map(|error| format!("{error:#}"))
    }

    /// The keys of the mapping at `pointer` that the schema does not know.
    fn unknown_keys(&self, file: &Value, pointer: &str) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        if let Err(error) = self.schemas.validate(file, self.index) {
            collect_unknown(&error, pointer, &mut unknown);
        }
        unknown
    }
}

fn collect_unknown(error: &ValidationError<'_, '_>, pointer: &str, into: &mut BTreeSet<String>) {
    if let ErrorKind::AdditionalProperties { got } = &error.kind
        && error.instance_location.to_string() == pointer
    {
        into.extend(got.iter().map(ToString::to_string));
    }
    error.causes.iter().for_each(|cause| collect_unknown(cause, pointer, into));
}

/// The errors of the readers. JSON is YAML, so that one value serves both sides.
pub(super) fn errors(text: String) -> Vec<Diagnostic> {
    match Config::from_text(text, "rules.yaml", &data(), &LoadOptions { offline: true }) {
        Ok(_) => Vec::new(),
        Err(problem) => problem.diagnostics.into_iter().filter(|found| found.level == Level::Error).collect(),
    }
}

/// Whether the readers refuse the shape of something: an unknown key, a missing one, a value of another type, a word
/// that is none of the known ones. Names that point nowhere and values that make no sense together are no shapes.
fn is_about_shape(found: &Diagnostic) -> bool {
    let message = found.message.as_str();
    let kinds = ["receiver type", "source type"];
    let words = ["status", "severity", "instance type", "duration", "time of day", "day", "language"].into_iter();
    let mut words = words.chain(kinds).map(|what| format!("is not a valid {what}"));
    message.starts_with("unknown key")
        || message.starts_with("expected ") && !message.contains("above 0")
        || message.contains("is missing") && !message.starts_with("the request has a {{")
        || message == "the list is empty"
        || words.any(|words| message.contains(words.as_str()))
}

/// A file as an editor sees it.
pub(super) fn value(text: &str) -> Option<Value> {
    serde_yaml::from_str(text).ok()
}

/// Every file of the tests, of the README, and the example, with its name.
fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = std::fs::read_dir(data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_string(), std::fs::read_to_string(&path).ok()?)))
        .collect();
    files.sort();
    files.push(("rules.example.yaml".into(), example()));
    files.extend(crate::readme::blocks("yaml").into_iter().map(|block| ("README.md".into(), block.to_string())));
    files
}

pub(super) fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.example.yaml")).unwrap()
}

#[test]
fn the_schema_accepts_what_the_readers_accept_and_refuses_what_they_refuse_for_its_shape() {
    let editor = Editor::new();
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for (name, text) in files() {
        let found = errors(text.clone());
        let Some(file) = value(&text) else { continue };
        match (found.as_slice(), editor.marks(&file)) {
            ([], None) => accepted += 1,
            ([], Some(marks)) => wrong.push(format!("{name} is sound, and the schema marks {marks}")),
            (found, None) => {
                wrong.extend(found.iter().find(|it| is_about_shape(it)).map(|it| format!("{name}: accepted: {it:?}")));
            }
            (_, Some(_)) => refused += 1,
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted >= 15 && refused >= 50, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_change_of_any_key_is_judged_alike_by_schema_and_readers() {
    let editor = Editor::new();
    let everything = std::fs::read_to_string(data().join("everything.yaml")).unwrap();
    for text in [example(), everything] {
        let mut wrong = Vec::new();
        for mutant in mutations::mutants(&text) {
            let what = format!("{:?} {}", mutant.change, mutant.target);
            let found = errors(mutant.text.clone());
            let marks = value(&mutant.text).map(|file| editor.marks(&file));
            match (found.iter().find(|found| is_about_shape(found)), marks) {
                (Some(shape), Some(None)) => wrong.push(format!("{what}: the schema accepts: {shape:?}")),
                (None, Some(Some(marks))) if found.is_empty() => {
                    wrong.push(format!("{what}: the readers accept, the schema marks {marks}"));
                }
                _ => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn a_word_that_is_none_is_refused_by_both() {
    let editor = Editor::new();
    let file = value(&std::fs::read_to_string(data().join("everything.yaml")).unwrap()).unwrap();
    let mut leaves = Vec::new();
    places(&file, "", &|value| !value.is_object() && !value.is_array(), &mut leaves);
    let (mut shapes, mut wrong) = (0, Vec::new());
    for leaf in &leaves {
        let mut changed = file.clone();
        *changed.pointer_mut(leaf).unwrap() = Value::from("nonsense");
        let found = errors(changed.to_string());
        if let Some(shape) = found.iter().find(|found| is_about_shape(found)) {
            shapes += 1;
            if editor.marks(&changed).is_none() {
                wrong.push(format!("{leaf}: the schema accepts a word that is none: {shape:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shapes > 30, "only {shapes} of {} leaves take no odd word", leaves.len());
}

/// The pointers to everything that `is_wanted`.
fn places(value: &Value, at: &str, is_wanted: &dyn Fn(&Value) -> bool, into: &mut Vec<String>) {
    if is_wanted(value) {
        into.push(at.to_string());
    }
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", escaped(key)), is_wanted, into));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| places(value, &format!("{at}/{index}"), is_wanted, into));
        }
        _ => {}
    }
}

/// No key of ours is near to it.
const STRANGE: &str = "qqqqqqqqqqqqqqqqqqqq";

/// What the readers know in the mapping at `pointer`, as they tell it who misspells a key; nothing where any key may be.
fn known_to_readers(file: &Value, pointer: &str) -> Option<BTreeSet<String>> {
    let with_strange = with_keys(file, pointer, &[STRANGE.to_string()]);
    let found = errors(with_strange.to_string());
    let unknown = found.iter().find(|found| found.message == format!("unknown key {STRANGE:?}"))?;
    let help = unknown.help.as_deref().unwrap_or_default();
    Some(
        help.strip_prefix("the keys here are ")
            .unwrap_or_else(|| panic!("{help}"))
            .split(", ")
            .map(str::to_string)
            .collect(),
    )
}

/// The file with more keys in the mapping at `pointer`.
fn with_keys(file: &Value, pointer: &str, keys: &[String]) -> Value {
    let mut changed = file.clone();
    let mapping = changed.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
    for key in keys {
        mapping.entry(key.clone()).or_insert_with(|| Value::from("x"));
    }
    changed
}

/// All names of keys that stand anywhere in the schema.
fn names_of_keys(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(keys)) = map.get("properties") {
                into.extend(keys.keys().cloned());
            }
            map.values().for_each(|value| names_of_keys(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| names_of_keys(value, into)),
        _ => {}
    }
}

/// Says which key is missing where, and what to do about it.
#[test]
fn the_schema_knows_the_keys_that_the_readers_know_and_no_others() {
    let editor = Editor::new();
    let mut named = BTreeSet::new();
    names_of_keys(&schema(false), &mut named);
    let (mut seen, mut wrong) = (BTreeSet::new(), BTreeSet::new());
    let sound = files().into_iter().filter(|(_, text)| errors(text.clone()).is_empty());
    for (name, file) in sound.filter_map(|(name, text)| Some((name, value(&text)?))) {
        let mut mappings = Vec::new();
        places(&file, "", &Value::is_object, &mut mappings);
        for pointer in mappings {
            let Some(readers) = known_to_readers(&file, &pointer) else { continue };
            let present = file.pointer(&pointer).and_then(Value::as_object).unwrap();
            seen.extend(present.keys().cloned());
            let all: Vec<String> = readers.union(&named).cloned().collect();
            let unknown = editor.unknown_keys(&with_keys(&file, &pointer, &all), &pointer);
            for key in readers.intersection(&unknown) {
                wrong.insert(format!("{name}{pointer}: add the key {key:?} to the table beside its reader"));
            }
            for key in all.iter().filter(|key| !readers.contains(*key) && !unknown.contains(*key)) {
                let found = errors(with_keys(&file, &pointer, std::slice::from_ref(key)).to_string());
                if found.iter().any(|found| found.message == format!("unknown key {key:?}")) {
                    wrong.insert(format!("{name}{pointer}: the schema knows {key:?}, the readers do not"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    let never: Vec<&String> = named.difference(&seen).collect();
    assert!(never.is_empty(), "put these keys of the schema into tests/data/config/everything.yaml: {never:?}");
}

/// What an editor shows where the cursor stands, and where it can look the rest up.
#[test]
fn every_key_says_what_it_is() {
    fn walk(schema: &Value, silent: &mut Vec<String>) {
        if let Some(Value::Object(keys)) = schema.get("properties") {
            let is_silent = |key: &Value| key["description"].as_str().is_none_or(|says| says.len() < 6);
            // In the choice of a kind by its type, the kind's own table says it.
            if schema.get("additionalProperties").is_some() {
                silent.extend(keys.iter().filter(|(_, key)| is_silent(key)).map(|(name, _)| name.clone()));
            }
        }
        match schema {
            Value::Object(map) => map.values().for_each(|value| walk(value, silent)),
            Value::Array(items) => items.iter().for_each(|value| walk(value, silent)),
            _ => {}
        }
    }
    let mut silent = Vec::new();
    walk(&schema(false), &mut silent);
    assert!(silent.is_empty(), "{silent:?}");
    assert!(example().starts_with("# yaml-language-server: $schema=nightbell.schema.json\n"));
}

/// docs/reference.md and docs/zh/reference.md are what `nightbell schema --reference` prints. `UPDATE=1` writes them.
#[test]
fn the_reference_is_printed_from_the_tables() {
    for (page, language) in [("docs/reference.md", Language::En), ("docs/zh/reference.md", Language::Zh)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        let reference = nightbell::config::reference(language);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &reference).unwrap();
        }
        let is_printed = std::fs::read_to_string(path).is_ok_and(|text| text == reference);
        assert!(is_printed, "{page}: run this test with UPDATE=1");
    }
}

/// The values in a text: `{name}`, `{{value}}`, and what stands between backticks, in any order.
fn kept(text: &str) -> Vec<&str> {
    let values = regex::Regex::new(r"`[^`]*`|\{\{?[a-z_.]+\}?\}").unwrap();
    let mut kept: Vec<&str> = values.find_iter(text).map(|found| found.as_str()).collect();
    kept.sort_unstable();
    kept
}

/// A description of a key that is new or says something else is translated, and what it said before is taken out.
#[test]
fn every_text_of_the_reference_is_in_the_chinese_catalog_and_nothing_else() {
    let catalog = include_str!("../../src/config/schema/zh.txt");
    let (mut wrong, mut translated) = (Vec::new(), BTreeSet::new());
    for pair in catalog.trim_end().split("\n\n").filter(|pair| !pair.starts_with('#')) {
        let lines: Vec<&str> = pair.lines().collect();
        let &[english, chinese] = lines.as_slice() else {
            wrong.push(format!("not a line in English and one in Chinese: {pair:?}"));
            continue;
        };
        if !translated.insert(english) {
            wrong.push(format!("twice in the catalog: {english:?}"));
        }
        if kept(english) != kept(chinese) {
            wrong.push(format!("the values of {english:?} are not those of {chinese:?}"));
        }
    }
    let texts = nightbell::config::reference_texts();
    wrong.extend(texts.difference(&translated).map(|text| format!("not translated: {text:?}")));
    wrong.extend(translated.difference(&texts).map(|text| format!("in the catalog, and in no table: {text:?}")));
    assert!(wrong.is_empty(), "src/config/schema/zh.txt:\n{}", wrong.join("\n"));
    assert!(texts.len() > 400, "{}", texts.len());
}

/// What the tables show as an example or name as a default is something that the key takes.
#[test]
fn examples_and_defaults_are_what_their_keys_take() {
    fn walk(part: &Value, at: &str, into: &mut Vec<(String, Value)>) {
        if let Some(Value::Object(keys)) = part.get("properties") {
            for (key, takes) in keys {
                let shown = takes.get("examples").and_then(Value::as_array).into_iter().flatten();
                let shown = shown.chain(takes.get("default")).cloned();
                into.extend(shown.map(|value| (format!("{at}/properties/{key}"), value)));
            }
        }
        if let Some(Value::Object(definitions)) = part.get("$defs") {
            definitions.iter().for_each(|(name, part)| walk(part, &format!("{at}/$defs/{name}"), into));
        }
    }
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    walk(&schema(false), "", &mut shown);
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("nightbell.schema.json", schema(false)).unwrap();
    for (at, value) in &shown {
        let index = compiler.compile(&format!("nightbell.schema.json#{at}"), &mut schemas).unwrap();
        if let Err(error) = schemas.validate(value, index) {
            wrong.push(format!("{at}: {value}: {error:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shown.len() > 80, "only {} are shown", shown.len());
}
