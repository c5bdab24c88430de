//! Holds the house in order: the direction of dependencies, and the habits that a reader relies on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules by line, the highest first, as `lib.rs` tells them. A module names only modules on lines below its own.
fn lines() -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let section = text.split("# The direction of dependencies").nth(1).unwrap().split("```").nth(1).unwrap();
    let line = |line: &str| {
        let words = line.trim_start_matches("//!").split_whitespace();
        // Names stand at the beginning of a line, with a bar between them; what follows says what they are for.
        let mut names = Vec::new();
        let mut wants_name = true;
        for word in words {
            match (word, wants_name) {
                ("|", false) => wants_name = true,
                (name, true) => {
                    names.push(name.to_string());
                    wants_name = false;
                }
                _ => break,
            }
        }
        names
    };
    let lines: Vec<Vec<String>> = section.lines().skip(1).map(line).filter(|names| !names.is_empty()).collect();
    assert!(lines.len() > 10, "{lines:?}");
    lines
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The top-level module a source file belongs to, and its line.
fn line_of(lines: &[Vec<String>], module: &str) -> Option<usize> {
    lines.iter().position(|line| line.iter().any(|name| name == module))
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_string()
}

/// Every `crate::name` and `nightbell::name` in the code of a file, with its line number. Comments do not count.
fn named_modules(text: &str) -> Vec<(usize, String)> {
    let mut named = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for prefix in ["crate::", "nightbell::"] {
            for (at, _) in code.match_indices(prefix) {
                let rest = &code[at + prefix.len()..];
                let names: Vec<&str> = match rest.strip_prefix('{') {
                    Some(list) => list.split([',', '}']).map(str::trim).collect(),
                    None => vec![rest],
                };
                for name in names {
                    let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    if !name.is_empty() && name.chars().all(|c| c.is_lowercase() || c == '_') {
                        named.push((index + 1, name));
                    }
                }
            }
        }
    }
    named
}

#[test]
fn dependencies_point_one_way() {
    let (lines, mut wrong) = (lines(), Vec::new());
    for file in rust_files(&root().join("src")) {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let line = line_of(&lines, &module).unwrap_or_else(|| panic!("{} has no line in lib.rs", file.display()));
        for (number, named) in named_modules(&fs::read_to_string(&file).unwrap()) {
            if named == module {
                continue;
            }
            let Some(other) = line_of(&lines, &named) else {
                wrong.push(format!("{}:{number}: names the unknown module {named}", file.display()));
                continue;
            };
            if other <= line {
                wrong.push(format!("{}:{number}: {module} must not name {named}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies that point the wrong way:\n{}", wrong.join("\n"));
}

/// The modules that are folders.
fn rooms() -> Vec<String> {
    let entries = fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).map(|path| path.file_name().unwrap().to_str().unwrap().to_string()).collect()
}

/// The modules of a room by their path, each with its code, without its tests.
fn modules_of(room: &str) -> BTreeMap<Vec<String>, String> {
    let src = root().join("src");
    let mut modules = BTreeMap::new();
    for file in rust_files(&src.join(room)).into_iter().filter(|file| !file.ends_with("tests.rs")) {
        let inside = file.strip_prefix(&src).unwrap().with_extension("");
        let mut path: Vec<String> = inside.iter().map(|part| part.to_str().unwrap().to_string()).collect();
        path.pop_if(|last| last == "mod");
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
        modules.insert(path, code.join("\n"));
    }
    modules
}

/// The paths in a tree of a `use`, one for each leaf.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((prefix, inner)) = tree.split_once('{') else { return vec![tree.to_string()] };
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    let parts = parts.into_iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(&part)).map(|leaf| format!("{prefix}{leaf}")).collect()
}

/// Every path that a module's code names: those of `use`, and those in the code that begin with `super` or `crate`.
fn named_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    let mut rest = String::new();
    for (index, part) in code.split("use ").enumerate() {
        match part.split_once(';').filter(|_| index > 0) {
            Some((tree, after)) => {
                paths.extend(leaves(tree));
                rest.push_str(after);
            }
            None => rest.push_str(part),
        }
    }
    for word in rest.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        // What stands behind `pub(in …)` says who may see it.
        if ["super::", "crate::"].iter().any(|start| word.starts_with(start)) {
            paths.push(word.to_string());
        }
    }
    paths
}

/// The module that a path leads to from `module`, as far as it leads through modules of the room.
fn led_to<'a>(modules: &'a BTreeMap<Vec<String>, String>, module: &[String], path: &str) -> Option<&'a Vec<String>> {
    let mut place: Vec<String> = Vec::new();
    let mut parts = path.split("::").map(|part| part.trim().to_string()).peekable();
    match parts.next()?.as_str() {
        "crate" => {}
        "self" => place = module.to_vec(),
        "super" => place = module[..module.len() - 1].to_vec(),
        // A module of its own.
        name => {
            place = module.to_vec();
            place.push(name.to_string());
            if !modules.contains_key(&place) {
                return None;
            }
        }
    }
    while parts.next_if(|part| part == "super").is_some() {
        place.pop();
    }
    for part in parts {
        place.push(part);
        if !modules.contains_key(&place) {
            place.pop();
            break;
        }
    }
    modules.get_key_value(&place).map(|(found, _)| found).filter(|found| found.as_slice() != module)
}

#[test]
fn no_arrow_runs_back_up_inside_a_room() {
    let mut wrong = Vec::new();
    for room in &rooms() {
        let modules = modules_of(room);
        let arrows: BTreeMap<&Vec<String>, BTreeSet<&Vec<String>>> = modules
            .iter()
            .map(|(module, code)| {
                let code = code.replace("pub(in crate", "pub(in ");
                (module, named_paths(&code).iter().filter_map(|path| led_to(&modules, module, path)).collect())
            })
            .collect();
        assert!(
            arrows.values().map(BTreeSet::len).sum::<usize>() >= modules.len() - 2,
            "{room}: arrows are overlooked"
        );
        for (module, named) in &arrows {
            for above in named.iter().filter(|other| module.starts_with(other.as_slice())) {
                wrong.push(format!("{} names {} above it", module.join("::"), above.join("::")));
            }
            // Whatever is named leads back here?
            let (mut seen, mut open) = (BTreeSet::new(), named.iter().copied().collect::<Vec<_>>());
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(arrows.get(next).into_iter().flatten());
                }
            }
            if seen.contains(module) {
                wrong.push(format!("arrows from {} lead back to it", module.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The rooms that decide, and what they decide about.
const CORE: [&str; 7] = ["alert", "decide", "digest", "model", "rule", "schedule", "template"];

/// Whoever reads the core must know what a word means without looking where it was imported from.
#[test]
fn no_two_types_of_the_core_have_one_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in CORE.iter().flat_map(|room| rust_files(&root().join("src").join(room))) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate().filter(|_| !file.ends_with("tests.rs")) {
            let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            let is_type = |word: &&str| matches!(*word, "struct" | "enum" | "trait" | "type");
            let at = words.iter().position(is_type).filter(|_| !line.starts_with("//") && !line.starts_with(' '));
            if let Some(name) = at.and_then(|at| words.get(at + 1)) {
                let place = format!("{}:{}", file.strip_prefix(root()).unwrap().display(), number + 1);
                places.entry((*name).to_string()).or_default().push(place);
            }
        }
    }
    assert!(places.len() > 150, "{} types are found", places.len());
    let twice: Vec<String> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(twice.is_empty(), "{}", twice.join("\n"));
}

/// What a server answers is redacted before anybody sees it, because nobody but `http` can read a response.
#[test]
fn only_http_reads_responses() {
    for file in rust_files(&root().join("src")).into_iter().filter(|file| module_of(file) != "http") {
        let code = fs::read_to_string(&file).unwrap();
        for word in
            ["reqwest::Response", "reqwest::get", ".chunk()", ".bytes_stream()", ".error_for_status", ".text().await"]
        {
            assert!(!code.contains(word), "{} holds {word:?}", file.display());
        }
    }
}

/// Hexadecimal and percent coding stand in one place. Templates and the address of a server have sets of characters of their
/// own.
#[test]
fn bytes_are_coded_in_one_place() {
    let src = root().join("src");
    let percent =
        ["coding.rs", "template/address.rs", "template/kind.rs", "store/address.rs"].map(|file| src.join(file));
    for file in rust_files(&src) {
        let code = fs::read_to_string(&file).unwrap();
        let is_coding = file.ends_with("coding.rs");
        for word in [":02x}", ":02X}"] {
            assert!(is_coding || !code.contains(word), "{} holds {word:?}: coding::hex", file.display());
        }
        let is_known = percent.contains(&file);
        assert!(is_known || !code.contains("percent_encoding::"), "{}: coding::percent_encoded", file.display());
    }
}

/// What a severity or a cause looks like is said once, by helpers: a template that compares words forgets the one that comes
/// tomorrow.
#[test]
fn templates_say_meaning() {
    for file in all_files(&root().join("templates")) {
        let text = fs::read_to_string(&file).unwrap();
        for word in ["eq data.alert.severity \"", "eq severity \"", "eq cause \""] {
            assert!(!text.contains(word), "{} holds {word:?}: mark, color, gap", file.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for directory in ["src", "tests", "benches"] {
        for file in rust_files(&root().join(directory)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.starts_with("//!"), "{} does not open with //!", file.display());
        }
    }
}

#[test]
fn pure_modules_stay_pure() {
    for module in ["decide", "alert", "rule", "digest", "template", "words", "model", "schedule", "sign"] {
        let path = root().join("src").join(module);
        let files = if path.is_dir() { rust_files(&path) } else { vec![path.with_extension("rs")] };
        // A module's tests may stand in a file of their own, and may do what they like.
        for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
            let text = fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in
                ["async fn", ".await", "tokio::", "std::fs", "std::net", "std::env", "SystemTime", "Instant::now"]
            {
                assert!(!code.contains(word), "{} is pure and holds {word:?}", file.display());
            }
        }
    }
}

/// What is played again is decided by pure functions over what is held in memory.
#[test]
fn a_replay_needs_no_store() {
    for file in rust_files(&root().join("src/worker/replay")) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!named_modules(&text).iter().any(|(_, name)| name == "store"), "{} names the store", file.display());
        for word in ["async fn", ".await", "Poller"] {
            let is_fetch = file.ends_with("fetch.rs");
            assert!(is_fetch || !text.contains(word), "{} holds {word:?}", file.display());
        }
    }
}

#[test]
fn the_project_stands_alone() {
    for directory in ["src", "tests", "benches", "templates", ".ci"] {
        for file in all_files(&root().join(directory)) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            for word in [concat!("..", "/shared"), concat!("/", "work/")] {
                assert!(!text.contains(word), "{} holds {word:?}", file.display());
            }
        }
    }
}

fn all_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}
