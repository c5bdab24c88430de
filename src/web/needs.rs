//! What the guard goes by: what a route needs of who asks, and who is at the other end of the connection.

use std::net::SocketAddr;

use crate::model::Role;

/// What a route needs of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: what it says is no secret, and it does nothing.
    Nothing,
    /// Somebody who may this.
    Role(Role),
}

/// Who is at the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);
