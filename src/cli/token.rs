//! `nightbell token`: who may look at the page and ask the API. Works beside a running `nightbell run`.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;

use super::ground::{Exit, Failure, duration, now_of};
use super::output::{complain, fail, local, print, table};
use super::place::{StorePlace, load_desk};
use super::silence::{labels, unborne, words};
use crate::desk::{hash_of, new_token};
use crate::limits::{TOKEN_PREFIX_MIN, TOKEN_TIME_MAX};
use crate::model::Role;
use crate::store::{Access as _, Mode, NewToken, SqlStore, TokenRecord};
use crate::template::display_text;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and shows it, this once: the store keeps only its digest.
    Create {
        /// Who it is for: what they do is recorded under this name.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// viewer looks; responder also acknowledges, silences, closes and sends dead letters again.
        #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = role)]
        role: Role,
        /// Whoever shows it sees alerts and jobs with this label alone, of the rule or the source. May be given several times:
        /// of one name any of its values, of several names all.
        #[arg(long, value_name = "NAME=VALUE")]
        label: Vec<String>,
        /// After how long it ceases to hold: 30d. Without it, never.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        duration: Option<Duration>,
        #[command(flatten)]
        place: StorePlace,
    },
    /// The tokens, without the tokens themselves.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: StorePlace,
    },
    /// Ends a token, and every session that was begun with it.
    Revoke {
        /// Its id, or the beginning of it.
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        place: StorePlace,
    },
}

fn role(word: &str) -> Result<Role, String> {
    Role::from_word(word).ok_or_else(|| "write viewer or responder".to_string())
}

/// Does what was asked for.
pub(super) async fn token(command: &TokenCommand) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create { name, role, label, duration, place } => {
            create(place, name, (*role, label), *duration).await
        }
        TokenCommand::List { json, place } => list(place, *json).await,
        TokenCommand::Revoke { id, place } => revoke(place, id).await,
    }
}

async fn create(
    place: &StorePlace,
    name: &str,
    (role, label): (Role, &[String]),
    lasts: Option<Duration>,
) -> Result<Exit, Failure> {
    let name = words("--name", name).map_err(Failure::Usage)?;
    if lasts.is_some_and(|lasts| lasts > TOKEN_TIME_MAX) {
        return Err(Failure::Usage("--for: that is longer than two years".into()));
    }
    let scope = labels(label).map_err(Failure::Usage)?;
    let config = load_desk(place)?.config;
    let token = new_token()?;
    for unmatched in unborne(&config, &scope) {
        complain(format_args!("warning: {unmatched}; look at the spelling if it is not for something to come"));
    }
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let now = now_of(&store).await?;
    let expires_at = lasts.map(|lasts| now.checked_add(lasts)).transpose()?;
    let new = NewToken { hash: hash_of(&token), name, role, scope, expires_at };
    store.add_token(&new, now).await?;
    store.close().await;
    print(&token)?;
    let until = expires_at
        .map_or_else(|| "until it is revoked".into(), |end| format!("until {}", local(end, &config.timezone)));
    let of = if new.scope.is_empty() { String::new() } else { format!(", of {} alone", new.scope) };
    complain(format_args!("a {role} for {}{of} {until}; it is not shown again", new.name));
    if config.web.as_ref().is_none_or(|web| !web.tokens) {
        complain("the configuration does not take tokens yet: write web: { tokens: true, … }");
    }
    Ok(Exit::Done)
}

async fn list(place: &StorePlace, as_json: bool) -> Result<Exit, Failure> {
    let config = load_desk(place)?.config;
    let store = SqlStore::open(&config.store, Mode::Read).await?;
    let now = now_of(&store).await?;
    let tokens = store.tokens().await?;
    if as_json {
        for token in &tokens {
            print(json!({
                "id": token.short(),
                "name": token.name,
                "role": token.role,
                "labels": token.scope,
                "state": token.state(now),
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "revoked_at": token.revoked_at,
            }))?;
        }
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        complain("no tokens; nightbell token create --name NAME makes one");
        return Ok(Exit::Done);
    }
    let row = |token: &TokenRecord| {
        vec![
            token.short().to_string(),
            display_text(&token.name),
            token.role.to_string(),
            display_text(&token.scope.to_string()),
            token.state(now).to_string(),
            local(token.created_at, &config.timezone),
            token.expires_at.map_or_else(String::new, |end| local(end, &config.timezone)),
        ]
    };
    print(table(&["ID", "NAME", "ROLE", "LABELS", "STATE", "CREATED", "EXPIRES"], tokens.iter().map(row).collect()))?;
    Ok(Exit::Done)
}

async fn revoke(place: &StorePlace, id: &str) -> Result<Exit, Failure> {
    let prefix = id.trim().to_ascii_lowercase();
    if prefix.len() < TOKEN_PREFIX_MIN || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let help =
            format!("{id:?}: write at least {TOKEN_PREFIX_MIN} characters of the id; nightbell token list shows it");
        return Err(Failure::Usage(help));
    }
    let config = load_desk(place)?.config;
    let store = SqlStore::open(&config.store, Mode::Amend).await?;
    let matching: Vec<TokenRecord> =
        store.tokens().await?.into_iter().filter(|it| it.hash.starts_with(&prefix)).collect();
    if let [_, _, ..] = matching.as_slice() {
        fail(format_args!("several tokens' ids begin with {prefix:?}; write more of it"));
        return Ok(Exit::Failed);
    }
    let revoked = store.revoke_tokens(&prefix, now_of(&store).await?).await?;
    store.close().await;
    let Some(token) = revoked.first() else {
        fail(format_args!("no token that holds has an id that begins with {prefix:?}"));
        return Ok(Exit::Failed);
    };
    print(format_args!("{} of {} is revoked", token.short(), display_text(&token.name)))?;
    Ok(Exit::Done)
}
