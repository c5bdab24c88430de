//! From a path to a checked configuration, or to everything that is wrong with it.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use super::Config;
use crate::limits::CONFIG_FILE_BYTES_MAX;
use crate::yaml::{self, Diagnostic, Diagnostics, Environment};

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
    /// The file's text, to render the warnings with.
    pub text: String,
}

/// Why there is no configuration. Its `Display` is everything that is wrong, as a person reads it.
#[derive(Debug)]
pub struct ConfigProblem {
    /// All findings in file order, warnings too; empty when the file could not be read.
    pub diagnostics: Vec<Diagnostic>,
    rendered: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rendered)
    }
}

impl std::error::Error for ConfigProblem {}

impl ConfigProblem {
    /// The file could not be read at all.
    fn unreadable(message: impl fmt::Display, help: &str) -> Self {
        ConfigProblem { diagnostics: Vec::new(), rendered: format!("error: {message}\n  help: {help}") }
    }

    fn found(diagnostics: Vec<Diagnostic>, file: &str, text: &str) -> Self {
        let rendered = Diagnostic::render_all(&diagnostics, file, text).join("\n");
        ConfigProblem { diagnostics, rendered }
    }
}

impl Config {
    /// Reads and checks the file at `path`. Relative paths in it start from its own directory.
    ///
    /// # Errors
    /// With everything that is wrong with the file, or why it could not be read.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        let text = read_text(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        Config::from_text(text, &path.display().to_string(), base, options)
    }

    /// Checks `text`, the content of a file that findings call `file` and whose relative paths start from `base`.
    ///
    /// # Errors
    /// With everything that is wrong with the text.
    pub fn from_text(text: String, file: &str, base: &Path, options: &LoadOptions) -> Result<Loaded, ConfigProblem> {
        let findings = Diagnostics::new(base);
        let lookup = |name: &str| std::env::var(name).ok();
        let environment = Environment { lookup: &lookup, required: !options.offline };
        let config = yaml::parse(&text, &environment, &findings).and_then(|tree| Config::read(&tree, &findings));
        if !options.offline {
            check_secrets(&findings);
        }
        let has_errors = findings.has_errors();
        let diagnostics = findings.into_sorted();
        match config {
            Some(config) if !has_errors => Ok(Loaded { config, warnings: diagnostics, text }),
            _ => Err(ConfigProblem::found(diagnostics, file, &text)),
        }
    }
}

/// Reports every secret that has no value just now.
fn check_secrets(findings: &Diagnostics) {
    for noted in findings.noted_secrets() {
        if let Err(error) = noted.secret.resolve() {
            let help = "or check the rest of the file without secrets: nightbell check --offline";
            findings.error(noted.at, noted.path, error.to_string(), Some(help.into()));
        }
    }
}

fn read_text(path: &Path) -> Result<String, ConfigProblem> {
    let shown = path.display();
    let start = "copy rules.example.yaml to begin with; name a file with -c: nightbell check -c PATH";
    if path.is_dir() {
        let help = "name the file in it: nightbell check -c PATH";
        return Err(ConfigProblem::unreadable(format_args!("{shown} is a directory"), help));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    // One byte more than allowed is enough to know; a device or a pipe may have no end.
    match opened.and_then(|file| file.take(CONFIG_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConfigProblem::unreadable(format_args!("there is no file {shown}"), start));
        }
        Err(error) => {
            return Err(ConfigProblem::unreadable(format_args!("{shown} cannot be read: {error}"), start));
        }
    }
    if bytes.len() > CONFIG_FILE_BYTES_MAX {
        let size = CONFIG_FILE_BYTES_MAX >> 20;
        return Err(ConfigProblem::unreadable(format_args!("{shown} is larger than {size} MiB"), start));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let help = "save it as UTF-8";
        ConfigProblem::unreadable(format_args!("{shown}:{line}: the file is not UTF-8 text"), help)
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_string))
}

impl Loaded {
    /// The warnings as a person reads them, for the file called `file`.
    pub fn rendered_warnings(&self, file: &str) -> Vec<String> {
        Diagnostic::render_all(&self.warnings, file, &self.text)
    }
}
