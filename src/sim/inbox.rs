//! The places that the demo's messages go to: a Slack-like hook, a webhook endpoint, a mail server, and a board that nobody can
//! reach at first.
//!
//! It listens on loopback, answers as the channels do, and hands over what arrives in the order of arrival. It knows
//! nothing of Nightbell's inside: it sees what a channel sees.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::mail::{self, Mail};

/// Something that arrived.
#[derive(Debug, Clone)]
pub enum Received {
    /// A post to the Slack-like hook: the JSON body.
    Slack(String),
    /// A post to the webhook or to the board: its id, whether a signature came with it, and the JSON body.
    Webhook {
        /// `webhook-id`.
        id: String,
        /// Whether `webhook-signature` was there.
        signed: bool,
        /// The body.
        body: String,
    },
    /// A mail.
    Mail(Mail),
}

/// Where to send, and what arrived there.
#[derive(Debug)]
pub struct Inbox {
    /// Address of the HTTP endpoints `/slack`, `/webhook` and `/board`.
    pub http: SocketAddr,
    /// Address of the mail server.
    pub smtp: SocketAddr,
    /// What arrived.
    pub received: mpsc::UnboundedReceiver<Received>,
    /// Whether `/board` is there.
    pub board: Board,
}

/// A place that is not there at first: until it is opened, what is sent to it is rejected.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<AtomicBool>);

impl Board {
    /// Has it take messages from now on.
    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Inbox {
    /// Opens the endpoints on free loopback ports.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn open() -> std::io::Result<Inbox> {
        let (sender, received) = mpsc::unbounded_channel();
        let (mail_sender, mut mails) = mpsc::unbounded_channel();
        let smtp = mail::serve(mail_sender).await?;
        let forward = sender.clone();
        tokio::spawn(async move {
            while let Some(mail) = mails.recv().await {
                drop(forward.send(Received::Mail(mail)));
            }
        });
        let board = Board::default();
        let at_board = (board.clone(), sender.clone());
        let boarding: Router = Router::new().route("/board", post(boarded)).with_state(at_board);
        let router: Router =
            Router::new().route("/slack", post(slack)).route("/webhook", post(webhook)).with_state(sender);
        let router = router.merge(boarding);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let http = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Inbox { http, smtp, received, board })
    }
}

async fn slack(State(inbox): State<mpsc::UnboundedSender<Received>>, body: String) -> &'static str {
    drop(inbox.send(Received::Slack(body)));
    "ok"
}

async fn webhook(State(inbox): State<mpsc::UnboundedSender<Received>>, headers: HeaderMap, body: String) {
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_string();
    let signed = headers.contains_key("webhook-signature");
    drop(inbox.send(Received::Webhook { id, signed, body }));
}

async fn boarded(
    State((board, sender)): State<(Board, mpsc::UnboundedSender<Received>)>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    if !board.0.load(Ordering::Relaxed) {
        return StatusCode::NOT_FOUND;
    }
    webhook(State(sender), headers, body).await;
    StatusCode::OK
}
