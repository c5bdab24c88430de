//! What is wrong with a file, and where.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::secret::SecretRef;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file cannot be used.
    Error,
    /// It can, and its writer probably wants to know.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How much it matters.
    pub level: Level,
    /// Where it is.
    pub at: Place,
    /// The key's path: `rules.etl-failed.when.status`. Empty for the file as a whole.
    pub path: String,
    /// What is wrong. Never holds a secret's value.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A file as it was read, to show findings with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// What findings call it.
    pub name: String,
    /// The directory that relative paths in it start from: its own.
    pub base: PathBuf,
    /// What it holds.
    pub text: String,
}

/// The findings of one run. Shared by reference while files are read, so that no check stops at the first.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// The name of each file, and the directory that relative paths in it start from.
    files: Vec<(String, PathBuf)>,
    /// Whether a file could not be read as a tree: then what others refer to may be in it.
    partial: Cell<bool>,
    /// Whether a section stands twice: then what others refer to may be in the one that is not read.
    lost_section: Cell<bool>,
    /// Whether what disables one part alone is no reason to refuse the whole.
    lenient: bool,
    found: RefCell<Vec<Diagnostic>>,
    secrets: RefCell<Vec<NotedSecret>>,
}

/// A secret that the file refers to, and where.
#[derive(Debug, Clone)]
pub struct NotedSecret {
    /// Where the reference stands.
    pub at: Place,
    /// Its key path.
    pub path: String,
    /// The reference.
    pub secret: SecretRef,
}

impl Diagnostics {
    /// No findings yet, for a file in the directory `base`.
    pub fn new(base: impl Into<PathBuf>) -> Self {
        Diagnostics { files: vec![(String::new(), base.into())], ..Diagnostics::default() }
    }

    /// No findings yet, for several files, whose numbers are their places in the list.
    pub fn of(files: &[FileText]) -> Self {
        let files = files.iter().map(|file| (file.name.clone(), file.base.clone())).collect();
        Diagnostics { files, ..Diagnostics::default() }
    }

    /// The same for who goes on without a part that does not work: what disables one part alone is a warning.
    #[must_use]
    pub fn leniently(self) -> Self {
        Diagnostics { lenient: true, ..self }
    }

    /// A path that stands at `at` as the process can open it: relative ones start from the directory of their file.
    pub fn resolve(&self, at: Place, path: impl AsRef<Path>) -> PathBuf {
        match self.files.get(usize::from(at.file)) {
            Some((_, base)) => base.join(path),
            None => path.as_ref().to_path_buf(),
        }
    }

    /// A place as a person reads it, with its file: `rules.d/finance.yaml:12:5`.
    pub fn shown(&self, at: Place) -> String {
        let name = self.files.get(usize::from(at.file)).map_or("", |(name, _)| name);
        format!("{name}:{}:{}", at.line, at.column)
    }

    /// The name of a place's file, without directories.
    pub fn file_name(&self, at: Place) -> String {
        let name = self.files.get(usize::from(at.file)).map_or("", |(name, _)| name);
        name.rsplit('/').next().unwrap_or(name).to_string()
    }

    /// Notes that a file yields no tree: a reference that leads nowhere may lead there.
    pub fn note_partial(&self) {
        self.partial.set(true);
    }

    /// Notes that a section stands twice, of which one is read.
    pub(super) fn note_lost_section(&self) {
        self.lost_section.set(true);
    }

    /// Whether what a reference names may be defined all the same: in a file that yields no tree, or in the other of two
    /// sections.
    pub fn may_lack_definitions(&self) -> bool {
        self.is_partial() || self.lost_section.get()
    }

    /// Whether some file yields no tree.
    pub fn is_partial(&self) -> bool {
        self.partial.get()
    }

    /// Adds an error.
    pub fn error(&self, at: Place, path: impl Into<String>, message: impl Into<String>, help: Option<String>) {
        self.push(Diagnostic { level: Level::Error, at, path: path.into(), message: message.into(), help });
    }

    /// Adds what disables one part alone: an error, unless the findings are gathered [leniently](Diagnostics::leniently).
    pub fn disabled(&self, at: Place, path: impl Into<String>, message: impl Into<String>) {
        let level = if self.lenient { Level::Warning } else { Level::Error };
        self.push(Diagnostic { level, at, path: path.into(), message: message.into(), help: None });
    }

    /// Adds a warning.
    pub fn warning(&self, at: Place, path: impl Into<String>, message: impl Into<String>, help: Option<String>) {
        self.push(Diagnostic { level: Level::Warning, at, path: path.into(), message: message.into(), help });
    }

    /// How many findings there are.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Says what to do about the errors that were added after the first `before` and do not say it themselves.
    pub(super) fn help_since(&self, before: usize, help: Option<String>) {
        let mut found = self.found.borrow_mut();
        let mute = found.iter_mut().skip(before).filter(|one| one.level == Level::Error && one.help.is_none());
        mute.for_each(|one| one.help.clone_from(&help));
    }

    /// Adds a finding.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Remembers a reference to a secret, so that whoever reads the file can check later, and in one place, whether
    /// it has a value.
    pub fn note_secret(&self, at: Place, path: impl Into<String>, secret: &SecretRef) {
        self.secrets.borrow_mut().push(NotedSecret { at, path: path.into(), secret: secret.clone() });
    }

    /// The references to secrets read so far.
    pub fn noted_secrets(&self) -> Vec<NotedSecret> {
        self.secrets.borrow().clone()
    }

    /// Whether an error stands at this place already.
    pub fn has_error_at(&self, at: Place) -> bool {
        self.has_error_where(|there| there == at)
    }

    /// Whether an error stands already at a place that `is_there` means.
    pub fn has_error_where(&self, is_there: impl Fn(Place) -> bool) -> bool {
        self.found.borrow().iter().any(|diagnostic| diagnostic.level == Level::Error && is_there(diagnostic.at))
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// All findings in file order.
    pub fn into_sorted(self) -> Vec<Diagnostic> {
        let mut all = self.found.into_inner();
        all.sort_by(|a, b| (a.at, a.level, &a.path, &a.message).cmp(&(b.at, b.level, &b.path, &b.message)));
        all.dedup();
        all
    }
}

impl Diagnostic {
    /// The finding as a person reads it, with the line it is about and a mark under the place:
    ///
    /// ```text
    /// error: rules.yaml:3:36: rules.slow.when.duration: "many" is not a valid duration
    ///   3 |     when: { status: [running], duration: many }
    ///     |                                          ^
    ///   help: write it as 45m, 2h30m or 1d
    /// ```
    ///
    /// A line that may hold a secret's value is not shown: the place is enough.
    pub fn render(&self, file: &str, text: &str) -> String {
        self.render_with(file, &ShownLines::of(text))
    }

    /// Each of `diagnostics` rendered, with one look at the texts.
    pub fn render_all(diagnostics: &[Diagnostic], files: &[FileText]) -> Vec<String> {
        let shown: Vec<(&str, ShownLines<'_>)> =
            files.iter().map(|file| (file.name.as_str(), ShownLines::of(&file.text))).collect();
        let nowhere = ("", ShownLines(Vec::new()));
        let render = |diagnostic: &Diagnostic| {
            let (name, lines) = shown.get(usize::from(diagnostic.at.file)).unwrap_or(&nowhere);
            diagnostic.render_with(name, lines)
        };
        diagnostics.iter().map(render).collect()
    }

    fn render_with(&self, file: &str, lines: &ShownLines<'_>) -> String {
        let level = match self.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        let mut out = format!("{level}: {file}:{}:{}: ", self.at.line, self.at.column);
        if !self.path.is_empty() {
            let _ = write!(out, "{}: ", self.path);
        }
        out.push_str(&self.message);
        if let Some(line) = lines.line(self.at.line) {
            let number = self.at.line.to_string();
            let before: String = line.chars().take(self.at.column.saturating_sub(1) as usize).map(pad_for).collect();
            let _ = write!(out, "\n  {number} | {line}\n  {:width$} | {before}^", "", width = number.len());
        }
        if let Some(help) = &self.help {
            let _ = write!(out, "\n  help: {help}");
        }
        out
    }
}

/// A blank as wide as the character above it, roughly: two columns for East Asian wide characters.
fn pad_for(above: char) -> &'static str {
    match above {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}' => "  ",
        _ => " ",
    }
}

/// The top-level keys whose values never hold a secret.
const OPEN_SECTIONS: [&str; 12] = [
    "version",
    "timezone",
    "store",
    "retention",
    "templates",
    "defaults",
    "rules",
    "routes",
    "digests",
    "mute_windows",
    "inhibit",
    "calendars",
];

/// The lines of a file that can be shown: short ones in no danger of holding a secret in plain text. That is so when a
/// line stands under a top-level key that has none and holds no word that smells of one.
struct ShownLines<'a>(Vec<Option<&'a str>>);

impl<'a> ShownLines<'a> {
    fn of(text: &'a str) -> Self {
        let mut in_open_section = false;
        let lines = text.lines().map(|line| {
            if line.starts_with(|c: char| !c.is_whitespace() && !matches!(c, '#' | '}' | ']')) {
                let key = line.split(':').next().unwrap_or_default().trim_matches(['"', '\'', ' ']);
                in_open_section = OPEN_SECTIONS.contains(&key);
            }
            (in_open_section && line.len() <= 200 && !smells_of_a_secret(line)).then_some(line)
        });
        ShownLines(lines.collect())
    }

    /// The line with this number, counted from 1.
    fn line(&self, number: u32) -> Option<&'a str> {
        let index = (number as usize).checked_sub(1)?;
        self.0.get(index).copied().flatten()
    }
}

fn smells_of_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["secret", "password", "token", "key", "url", "auth", "://", "header", "bearer"]
        .iter()
        .any(|word| line.contains(word))
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    // Upper and lower case are the same here, and so are `-` and `_`.
    let folded = |text: &str| text.to_lowercase().replace('_', "-");
    let word = folded(word);
    let distance = |candidate: &str| {
        // `crit` is near to `critical`, however much is missing.
        let is_beginning = word.chars().count() >= 3 && candidate.starts_with(&word);
        if is_beginning { 1 } else { strsim::osa_distance(&word, candidate) }
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
