//! The files of a configuration as texts: one file, or the rule files of a directory.
//!
//! Reads them and nothing else. Of a directory every `*.yaml` and `*.yml` counts, by name; hidden files, what editors
//! leave behind and directories do not. What a file means is not known here.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::limits::{CONFIG_FILE_BYTES_MAX, CONFIG_FILES_MAX};

/// The texts of a configuration, just read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFiles {
    /// Whether they are those of a directory.
    pub is_directory: bool,
    /// The files by name.
    pub files: Vec<RuleFile>,
}

/// One file of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds, or why that is not known.
    pub text: Result<String, Unreadable>,
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The line at which that shows, counted from 1.
    pub line: Option<u32>,
    /// What is wrong, as what is said of the file: "is larger than 8 MiB".
    pub message: String,
    /// What to do about it.
    pub help: Option<&'static str>,
}

/// Why there are no files at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFiles {
    /// What is wrong, with the path.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

impl fmt::Display for NoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\n  help: {}", self.message, self.help)
    }
}

const START: &str =
    "nightbell init writes one to begin with; name a file or a directory with -c: nightbell check -c PATH";

impl RuleFiles {
    /// Reads the file at `path`, or the rule files of the directory.
    ///
    /// # Errors
    /// When there is nothing to read, or the one file cannot be read. In a directory, that is the file's own matter.
    pub fn read(path: &Path) -> Result<RuleFiles, NoFiles> {
        let shown = path.display();
        if path.is_dir() {
            return Ok(RuleFiles { is_directory: true, files: read_directory(path)? });
        }
        if matches!(path.metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound) {
            return Err(NoFiles { message: format!("there is no file {shown}"), help: START });
        }
        let file = RuleFile { path: path.to_path_buf(), text: read_text(path) };
        match &file.text {
            Ok(_) => Ok(RuleFiles { is_directory: false, files: vec![file] }),
            Err(Unreadable { line, message, help }) => {
                let message = match line {
                    Some(line) => format!("{shown}:{line}: the file {message}"),
                    None => format!("{shown} {message}"),
                };
                Err(NoFiles { message, help: help.unwrap_or(START) })
            }
        }
    }
}

impl RuleFile {
    /// The directory that relative paths in it start from.
    pub fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

fn read_directory(directory: &Path) -> Result<Vec<RuleFile>, NoFiles> {
    let shown = directory.display();
    let unreadable =
        |error: std::io::Error| NoFiles { message: format!("{shown} cannot be read: {error}"), help: START };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if is_rule_file(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        let help = "put rule files into it; rules.example.yaml is one to begin with";
        return Err(NoFiles { message: format!("there is no *.yaml file in {shown}"), help });
    }
    if paths.len() > CONFIG_FILES_MAX {
        let message = format!("{shown} holds {} rule files, more than {CONFIG_FILES_MAX}", paths.len());
        return Err(NoFiles { message, help: "put rules that belong together into one file" });
    }
    paths.sort();
    Ok(paths.into_iter().map(|path| RuleFile { text: read_text(&path), path }).collect())
}

/// Whether the name is one of a rule file that is meant to be read, and it is not a directory.
fn is_rule_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_hidden = name.starts_with(['.', '#']);
    let is_yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    is_yaml && !is_hidden && !path.is_dir()
}

fn read_text(path: &Path) -> Result<String, Unreadable> {
    let refused = |message: String| Unreadable { line: None, message, help: None };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    // One byte more than allowed is enough to know; a device or a pipe may have no end.
    opened
        .and_then(|file| file.take(CONFIG_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if bytes.len() > CONFIG_FILE_BYTES_MAX {
        return Err(refused(format!("is larger than {} MiB", CONFIG_FILE_BYTES_MAX >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let message = "is not UTF-8 text".to_string();
        Unreadable { line: u32::try_from(line).ok(), message, help: Some("save it as UTF-8") }
    })?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_string))
}
