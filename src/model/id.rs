//! Identifiers, each a type of its own, so that a rule's name can never stand where a receiver's is wanted.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::ALERT_ID_SHOWN;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl AsRef<str>) -> Self {
                $name(Arc::from(text.as_ref()))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name::new(text)
            }
        }
    };
}

text_id! {
    /// The key of a source in the configuration.
    SourceId
}
text_id! {
    /// The key of a rule in the configuration.
    RuleId
}
text_id! {
    /// The key of a receiver in the configuration.
    ReceiverId
}
text_id! {
    /// Names one episode: derived from source, job, instance, rule and episode, the same over restarts.
    AlertId
}
impl AlertId {
    /// Its beginning, which stands for it wherever people read or type it.
    pub fn short(&self) -> &str {
        beginning(&self.0)
    }
}

text_id! {
    /// Names one message pending for one receiver: derived from the alert, the receiver and the kind of message.
    DeliveryId
}
impl DeliveryId {
    /// Its beginning, which stands for it in tables and may be typed for it.
    pub fn short(&self) -> &str {
        beginning(&self.0)
    }
}

/// What people read and type of an id.
fn beginning(id: &str) -> &str {
    let end = id.char_indices().nth(ALERT_ID_SHOWN).map_or(id.len(), |(end, _)| end);
    &id[..end]
}
