//! The lock beside a store's file: who works on the store, and that nobody else does.
//!
//! The worker holds `<file>.lock` exclusively, with its process id inside, for as long as the store is open; the operating
//! system lets go of it when the process dies, however it dies. Who only asks takes it for a moment, shared.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::database::{Mode, SqlStore};
use super::path::{found, unusable};
use crate::store::address::{Kind, StoreAddress};
use crate::store::counts::Worker;
use crate::store::error::StoreError;

/// How often, and how long after each other, a process that starts tries to take a lock that is held.
const LOCK_TRIES: usize = 4;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(25);

impl SqlStore {
    /// The process that works on the store file at `address`, if one does; none for a database on a server. Whoever asks holds the store's lock for a moment, which a
    /// process that starts waits for.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when the file is not there or its lock cannot be looked at.
    pub fn worker(address: impl Into<StoreAddress>) -> Result<Option<Worker>, StoreError> {
        let Kind::File(path) = address.into().kind()? else { return Ok(None) };
        let path = found(&path, Mode::Read)?;
        let lock_path = lock_of(&path);
        let cannot = |error: std::io::Error| unusable(&path, format!("its lock {}: {error}", lock_path.display()));
        let mut lock = match File::open(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(error)),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                // It is written once, when the lock is taken.
                let since = lock.metadata().and_then(|meta| meta.modified()).ok();
                let since = since.and_then(|since| Timestamp::try_from(since).ok());
                Ok(Some(Worker { pid: pid_in(&mut lock).and_then(|pid| pid.parse().ok()), since }))
            }
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }
}

pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The file beside the store that its worker holds.
fn lock_of(path: &Path) -> PathBuf {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    PathBuf::from(lock_path)
}

/// The process id that the holder of a lock has noted in it. It is for the reader's convenience.
fn pid_in(lock: &mut File) -> Option<String> {
    let mut pid = String::new();
    let read = lock.read_to_string(&mut pid);
    read.ok().map(|_| pid.trim().to_string()).filter(|pid| !pid.is_empty())
}

/// Tries to take the lock. Who asks whether a process works holds it for a moment: that is no worker, and is waited for.
fn taken(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            outcome => return outcome,
        }
    }
    lock.try_lock()
}

/// Takes the lock beside the file and writes this process's pid into it.
pub(super) fn locked(path: &Path) -> Result<File, StoreError> {
    let lock_path = lock_of(path);
    let cannot = |error: std::io::Error| unusable(path, format!("its lock {}: {error}", lock_path.display()));
    let mut lock = private().open(&lock_path).map_err(|error| match error.kind() {
        // A service starts in a directory that nobody thinks of: what it must be told is where its store can be.
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => unusable(
            path,
            format!(
                "its directory cannot be written ({error}); name another place in the configuration, as in store: \
                 sqlite:///var/lib/nightbell/nightbell.db"
            ),
        ),
        _ => cannot(error),
    })?;
    match taken(&lock) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            // Who cannot read the pid is refused all the same.
            let pid = pid_in(&mut lock).unwrap_or_else(|| "unknown".into());
            return Err(StoreError::Held { path: path.display().to_string(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let pid = std::process::id().to_string();
    let written = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(pid.as_bytes()));
    if let Err(error) = written {
        // A full disk keeps the pid out of the file, not the lock from holding.
        tracing::warn!(lock = %lock_path.display(), %error, "cannot note this process's id in the store's lock");
    }
    Ok(lock)
}
