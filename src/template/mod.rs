//! Templates: the looks of a message, never its facts.
//!
//! [`TemplateSet::compile`] takes the built-in templates of a receiver kind and the user's replacements, and says
//! everything wrong with them, with line and column; [`TemplateSet::render`] makes one message's [`Content`]. The data
//! a template sees is the webhook body (its summary in the receiver's language), plus `receiver` and what Nightbell says of
//! it: `level`, `headline`; of one alert `summary`, `subject`, `when`, its `times` with their names and the pieces of its
//! `description`; of several their `lines`; of a digest what is `late`. Every value is cleaned for display and escaped for the part's [`OutputKind`]; output, nesting and loops are bounded, and templates reach no file and no network.
//!
//! Pure: reads no file and no clock (the zone and the instant are in its arguments). It must never know of a channel's
//! address, of SMTP or of HTTP.
//!
//! # Design
//! The engine's strict mode lets a misspelt name in `{{#if}}` pass, overflows the stack on deep nesting and loops for
//! ever in partials that include each other. So a template is walked before it is accepted: names against the shape
//! of the data, helpers against the list of [`helpers`], nesting against the limits; partials and decorators are refused.

mod address;
mod check;
mod clean;
mod conditions;
mod data;
mod digest;
mod escape;
mod form;
mod guide;
mod helpers;
mod kind;
mod marks;
mod names;
mod output;
mod sample;
mod sample_alert;
mod say;
mod set;
#[cfg(test)]
mod tests;

pub use crate::words::truncated;
pub use clean::{clean_value, display_text};
pub use data::level;
pub use digest::{digest_samples, sample_digest};
pub use escape::{
    dingtalk_text, discord_text, slack_entities, slack_text, telegram_code, telegram_text, wecom_code, wecom_text,
};
pub use form::{BuiltIn, Form, Locale, Override, TemplateProblem};
pub use guide::{Guide, Line, put as put_guides};
pub use helpers::local_time;
pub use kind::OutputKind;
pub use marks::{Palette, color};
pub use sample::{group_samples, sample_message, samples};
pub use set::{TemplateSet, samples_of};
