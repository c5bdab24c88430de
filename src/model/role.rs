//! What somebody may do who looks at Nightbell's page or asks its API.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What somebody may. Who may more may all that is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Acknowledge, silence, close, have dead letters sent again.
    Responder,
}

impl Role {
    /// All of them, the one who may least first.
    pub const ALL: [Role; 2] = [Role::Viewer, Role::Responder];

    /// The word used in the configuration, on the command line and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Responder => "responder",
        }
    }

    /// The role a word names.
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
