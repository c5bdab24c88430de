//! Taking a lock. Leaf.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a mutex holds. Nothing in it is ever left half done, so a thread that panicked with it does no harm.
pub(in crate::source) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
