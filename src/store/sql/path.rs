//! The path of a store's file: its one true name, and how it is named when it cannot be used.

use std::path::{Path, PathBuf};

use super::database::Mode;
use crate::store::error::StoreError;

/// What says that the file at `path` cannot be used, and why.
pub(super) fn unusable(path: &Path, reason: impl std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("store {}: {reason}", path.display()))
}

/// The file under its one true name, so that two names of a file have one lock.
pub(super) fn found(path: &Path, mode: Mode) -> Result<PathBuf, StoreError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => return Err(unusable(path, "it is a directory, a file is wanted")),
        Ok(_) => return path.canonicalize().map_err(|error| unusable(path, error)),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(path, error)),
        Err(_) if mode != Mode::Work => {
            return Err(unusable(path, "there is no such file; `nightbell run` makes it"));
        }
        Err(_) => {}
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let directory = directory
        .canonicalize()
        .map_err(|error| unusable(path, format!("its directory {} cannot be used: {error}", directory.display())))?;
    match path.file_name() {
        Some(name) => Ok(directory.join(name)),
        None => Err(unusable(path, "it names no file")),
    }
}
