//! What a render comes to: output up to a limit, and the engine's errors in our words.
//!
//! Pure. An error must never quote data of the message.

use std::io;

use handlebars::{Output, RenderError, RenderErrorReason};

use crate::limits::TEMPLATE_OUTPUT_BYTES_MAX;

pub(super) fn reason_in_words(error: &RenderError) -> String {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => format!("there is no value {name:?} in this message"),
        RenderErrorReason::IOError(error) => error.to_string(),
        RenderErrorReason::InvalidJsonIndex(_) => "a list has no named values".to_string(),
        RenderErrorReason::Other(reason) => reason.clone(),
        RenderErrorReason::ParamTypeMismatchForName(helper, ..) => {
            format!("{helper:?} cannot take a value of this type")
        }
        _ => "it cannot be rendered".to_string(),
    }
}

/// Collects output up to the limit; a template that runs away is stopped there.
#[derive(Default)]
pub(super) struct Capped {
    pub(super) text: String,
}

impl Output for Capped {
    fn write(&mut self, segment: &str) -> io::Result<()> {
        if self.text.len() + segment.len() > TEMPLATE_OUTPUT_BYTES_MAX {
            return Err(io::Error::other(format!("the output is longer than {} KiB", TEMPLATE_OUTPUT_BYTES_MAX >> 10)));
        }
        self.text.push_str(segment);
        Ok(())
    }
}
