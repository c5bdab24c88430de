//! `nightbell send-test`: one message marked TEST through the real path.
//!
//! It renders and sends as the deliver loop does, and keeps nothing: it works beside a running Nightbell, and what it
//! sends is pending for nobody.

use crate::app;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::model::AttemptOutcome;

use super::ground::{Exit, Failure};
use super::names::unknown;
use super::output::{fail, print};

pub(super) async fn send_test(config: &Config, receiver: &str) -> Result<Exit, Failure> {
    let Some(settings) = config.receivers.iter().find(|settings| settings.id.as_str() == receiver) else {
        return Err(unknown("receiver", receiver, config.receivers.iter().map(|settings| settings.id.as_str())));
    };
    let attempt = app::send_test(settings, SystemClock.now()).await?;
    let status = attempt.status.as_deref().unwrap_or("no answer");
    if attempt.outcome == AttemptOutcome::Delivered {
        print(format_args!("delivered to {receiver} ({status})"))?;
        return Ok(Exit::Done);
    }
    let error = attempt.error.unwrap_or_default();
    fail(format_args!("not delivered to {receiver} ({status}, {}): {error}", attempt.outcome.as_str()));
    Ok(Exit::Failed)
}
