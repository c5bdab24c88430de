//! How slow the machine is while a test runs on it, so that what must take two seconds on an idle one can be asked for on a
//! busy one, too.
//!
//! A thread does the same piece of work again and again, as a replica does it: some computing, and a question to the
//! database. What that takes by the best of all times is the machine's own pace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::{AnyConnection, Connection as _};

use crate::cluster;

/// From one piece of work to the next.
const EVERY: Duration = Duration::from_millis(150);
/// Rounds of computing in one piece of work: some milliseconds.
const ROUNDS: u64 = 300_000;

/// What was measured so far.
pub(super) struct Pace {
    taken: Arc<Mutex<Vec<(Instant, Duration)>>>,
    is_over: Arc<AtomicBool>,
}

impl Pace {
    /// Measures from now on, with the database at `url`.
    pub(super) fn measured(url: String) -> Pace {
        let pace = Pace { taken: Arc::default(), is_over: Arc::default() };
        let (taken, is_over) = (Arc::clone(&pace.taken), Arc::clone(&pace.is_over));
        std::thread::spawn(move || cluster::outside(|| measure(url, taken, is_over)));
        pace
    }

    /// How many times as long as at best the work took, on average, between two instants.
    pub(super) fn slowness(&self, from: Instant, until: Instant) -> f64 {
        let taken = self.taken.lock().unwrap();
        let best = taken.iter().map(|(_, took)| *took).min().unwrap_or_default().as_secs_f64();
        let is_then = |(began, took): &&(Instant, Duration)| *began + *took >= from && *began <= until;
        let within: Vec<f64> = taken.iter().filter(is_then).map(|(_, took)| took.as_secs_f64() / best).collect();
        if within.is_empty() { 1.0 } else { within.iter().sum::<f64>() / within.len() as f64 }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

async fn measure(url: String, taken: Arc<Mutex<Vec<(Instant, Duration)>>>, is_over: Arc<AtomicBool>) {
    sqlx::any::install_default_drivers();
    let mut connection = None;
    while !is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(EVERY).await;
        if connection.is_none() {
            // The database is restarted now and then.
            connection = AnyConnection::connect(&url).await.ok();
        }
        let began = Instant::now();
        let mut sum = 0_u64;
        for number in 0..ROUNDS {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(number));
        }
        if let Some(open) = &mut connection {
            match sqlx::query("SELECT $1").bind(sum.to_string()).execute(open).await {
                Ok(_) => taken.lock().unwrap().push((began, began.elapsed())),
                Err(_) => connection = None,
            }
        }
    }
}
