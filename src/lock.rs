//! Taking a lock. Reads and writes nothing else, and must never know what is behind the lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a mutex holds. Nothing in it is ever left half done, so a thread that panicked with it does no harm.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
