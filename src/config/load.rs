//! From a path to a checked configuration, or to everything that is wrong with it.

use std::fmt;
use std::path::Path;

use super::checked::Config;
use super::doubts::is_placeholder;
use super::files::{NoFiles, RuleFile, RuleFiles};
use crate::coding::hex;
use crate::yaml::{self, Diagnostic, Diagnostics, Environment, FileText, Level, Place};

/// How to load.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadOptions {
    /// Whether secrets and `${NAME}` may be without a value. For checking a file only: a source, receiver or rule that
    /// cannot be read without such a value is left out of the configuration.
    pub offline: bool,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What its writer probably wants to know, in file order.
    pub warnings: Vec<Diagnostic>,
    /// The files it was read from, in the order of their names.
    pub files: Vec<FileText>,
    /// The key paths of the secrets, and where each stands.
    secrets: Vec<(String, Place)>,
}

/// Why there is no configuration. Its `Display` is everything that is wrong, as a person reads it.
#[derive(Debug)]
pub struct ConfigProblem {
    /// All findings in file order, warnings too; empty when there is no file, or the one file could not be read.
    pub diagnostics: Vec<Diagnostic>,
    /// The same as a person reads them, and what is wrong where there is no finding.
    pub rendered: Vec<String>,
    /// What could be read all the same, where every file could be read as YAML: without the rules, receivers and sources
    /// that are wrong. For who must not wait for the file to be mended, and never for who sends.
    pub sound: Option<Box<Config>>,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered.join("\n"))
    }
}

impl std::error::Error for ConfigProblem {}

impl From<NoFiles> for ConfigProblem {
    fn from(none: NoFiles) -> Self {
        ConfigProblem { diagnostics: Vec::new(), rendered: vec![none.to_string()], sound: None }
    }
}

impl ConfigProblem {
    /// Whether an error is about the key at this path.
    pub fn is_about(&self, path: &str) -> bool {
        self.diagnostics.iter().any(|found| found.level == Level::Error && found.path == path)
    }

    /// The numbers of the files that hold an error, in order.
    pub fn broken_files(&self) -> Vec<u16> {
        let errors = self.diagnostics.iter().filter(|found| found.level == Level::Error);
        let mut files: Vec<u16> = errors.map(|found| found.at.file).collect();
        files.dedup();
        files
    }
}

impl Config {
    /// Reads and checks the file at `path`, or the rule files of a directory. Relative paths in a file start from its own
    /// directory.
    ///
    /// # Errors
    /// With everything that is wrong, or why nothing could be read.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        let read = RuleFiles::read(path)?;
        Config::from_files(&read.files, options)
    }

    /// Checks `text`, the content of a file that findings call `file` and whose relative paths start from `base`.
    ///
    /// # Errors
    /// With everything that is wrong with the text.
    pub fn from_text(text: String, file: &str, base: &Path, options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        let text = FileText { name: file.to_string(), base: base.to_path_buf(), text };
        let findings = Diagnostics::of(std::slice::from_ref(&text));
        Config::read_all(vec![text], findings, options)
    }

    /// Checks files that have been read, all of them together.
    ///
    /// # Errors
    /// With everything that is wrong with them.
    pub fn from_files(files: &[RuleFile], options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        Config::read_files(files, options, |findings| findings)
    }

    /// The same for who goes on without a receiver whose certificate files cannot be used: what is wrong with them is a
    /// warning. One damaged file must not keep the other receivers from being told.
    ///
    /// # Errors
    /// With everything else that is wrong with the files.
    pub fn from_files_at_work(files: &[RuleFile]) -> Result<Loaded, ConfigProblem> {
        Config::read_files(files, &LoadOptions { offline: false }, Diagnostics::leniently)
    }

    fn read_files(
        files: &[RuleFile],
        options: &LoadOptions,
        gathered: impl Fn(Diagnostics) -> Diagnostics,
    ) -> Result<Loaded, ConfigProblem> {
        let text_of = |file: &RuleFile| FileText {
            name: file.path.display().to_string(),
            base: file.base().to_path_buf(),
            text: file.text.clone().unwrap_or_default(),
        };
        let texts: Vec<FileText> = files.iter().map(text_of).collect();
        let findings = gathered(Diagnostics::of(&texts));
        for (number, file) in (0..).zip(files) {
            if let Err(unread) = &file.text {
                let at = Place { file: number, line: unread.line.unwrap_or(1), column: 1 };
                findings.error(at, "", format!("the file {}", unread.message), unread.help.map(str::to_string));
                findings.note_partial();
            }
        }
        Config::read_all(texts, findings, options)
    }

    /// Reads the texts, except of the files that have a finding already: those could not be read.
    fn read_all(files: Vec<FileText>, findings: Diagnostics, options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        let lookup = |name: &str| std::env::var(name).ok();
        let environment = Environment { lookup: &lookup, required: !options.offline };
        let mut trees = Vec::with_capacity(files.len());
        for (number, file) in (0..).zip(&files) {
            if findings.has_error_where(|at| at.file == number) {
                continue;
            }
            match yaml::parse_file(number, &file.text, &environment, &findings) {
                Some(tree) => trees.push(tree),
                None => findings.note_partial(),
            }
        }
        let config = if trees.is_empty() { None } else { Config::read(trees, &findings) };
        if !options.offline {
            check_secrets(&findings);
        }
        let has_errors = findings.has_errors();
        let is_partial = findings.is_partial();
        let secrets = findings.noted_secrets().into_iter().map(|noted| (noted.path, noted.at)).collect();
        let diagnostics = findings.into_sorted();
        match config {
            Some(config) if !has_errors => {
                let config = Config { fingerprint: fingerprint(&files), ..config };
                Ok(Loaded { config, warnings: diagnostics, files, secrets })
            }
            config => Err(ConfigProblem {
                rendered: Diagnostic::render_all(&diagnostics, &files),
                diagnostics,
                sound: config.filter(|_| !is_partial).map(Box::new),
            }),
        }
    }
}

/// A digest of the files' names and texts. Where they are does not count: it may differ from machine to machine.
fn fingerprint(files: &[FileText]) -> String {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for file in files {
        let name = Path::new(&file.name).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        for part in [&*name, file.text.as_str()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize()[..8])
}

/// What is odd about a secret's value, which is not repeated. A URL's own faults its receiver finds.
fn doubt_of(value: &str) -> Option<(&'static str, &'static str)> {
    let value = value.trim();
    let is_quoted = value.len() > 1
        && [('"', '"'), ('\'', '\''), ('“', '”')]
            .iter()
            .any(|(open, close)| value.starts_with(*open) && value.ends_with(*close));
    match value {
        _ if value.contains("://") && value.contains(char::is_whitespace) => {
            Some(("the address in the secret has a blank or a line break in it", "take it away"))
        }
        _ if value.contains("://") && value.find('<').is_some_and(|at| value[at..].contains('>')) => {
            Some(("the address in the secret holds a placeholder", "put the real value in its place"))
        }
        _ if value.contains("://") => None,
        _ if is_quoted => Some(("the secret's value stands in quotes", "take them away: they are part of the value")),
        _ if is_placeholder(value) => Some(("the secret's value is a placeholder", "put the real one in its place")),
        _ if value.contains(char::is_whitespace) => {
            Some(("the secret's value has a blank or a line break in it", "take it away, unless it is meant"))
        }
        _ => None,
    }
}

/// Reports every secret that has no value just now, and what is odd about the values of the others.
fn check_secrets(findings: &Diagnostics) {
    for noted in findings.noted_secrets() {
        match noted.secret.resolve() {
            Err(error) => {
                let help = "or check the rest of the file without secrets: nightbell check --offline";
                findings.error(noted.at, noted.path, error.to_string(), Some(help.into()));
            }
            Ok(value) => {
                if let Some((message, help)) = doubt_of(value.expose()) {
                    findings.warning(noted.at, noted.path, message, Some(help.into()));
                }
            }
        }
    }
}

impl Loaded {
    /// The warnings as a person reads them.
    pub fn rendered_warnings(&self) -> Vec<String> {
        Diagnostic::render_all(&self.warnings, &self.files)
    }

    /// An error about the value of the secret at this key path, as a person reads it; none of another key.
    pub fn rendered_error(&self, path: &str, message: &str, help: Option<String>) -> Option<String> {
        let (_, at) = self.secrets.iter().find(|(known, _)| known == path)?;
        let (path, message) = (path.to_string(), message.to_string());
        let error = Diagnostic { level: Level::Error, at: *at, path, message, help };
        Diagnostic::render_all(&[error], &self.files).pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_of_secrets_are_doubted_and_right_ones_are_not() {
        for (value, words) in [
            ("https://hooks.example.com/serv ices/a", "a blank or a line break"),
            ("https://hooks.example.com/a\nb", "a blank or a line break"),
            ("https://hooks.example.com/<your>/b", "a placeholder"),
            ("<your token>", "a placeholder"),
            ("\"abc\"", "in quotes"),
            ("a b", "a blank or a line break"),
        ] {
            let (message, _) = doubt_of(value).unwrap_or_else(|| panic!("{value:?} is not doubted"));
            assert!(message.contains(words) && !message.contains("hooks"), "{message}");
        }
        for value in ["https://hooks.example.com/services/T0/B0/x", "postgres://u:p@h/d?a=<", "abc\n"] {
            assert_eq!(doubt_of(value), None, "{value}");
        }
    }
}
