//! What every page shares: who reads it and how, its head, the links to other pages, and the answer that it becomes.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::clock::minute_of;
use crate::coding::{hex, percent_decoded, percent_encoded};
use crate::model::{Alert, Instance, Role};
use crate::template::display_text;
use crate::web::access::{Person, cookie};
use crate::web::fault::Fault;
use crate::web::sight::Sight;
use crate::web::state::{InForce, Web};
use crate::words::{self, Language, Saying};

/// What every page has: who reads it, how they read, and the numbers in its head.
pub(in crate::web) struct Page {
    pub(in crate::web) language: Language,
    pub(in crate::web) zone: TimeZone,
    /// `light`, `dark`, or nothing where the system decides.
    pub(in crate::web) theme: &'static str,
    pub(in crate::web) person: Option<Person>,
    /// What they may see.
    pub(in crate::web) sight: Sight,
    pub(in crate::web) now: Timestamp,
    /// The same to the minute: what the page says of ages and draws up to now is by this, so that it is the same page until
    /// something has happened, or the minute is over.
    pub(in crate::web) minute: Timestamp,
    /// Path and query of the page.
    pub(in crate::web) here: String,
    pub(in crate::web) in_force: Arc<InForce>,
    /// Alerts that fire.
    pub(in crate::web) firing: u64,
    /// Dead letters.
    pub(in crate::web) dead: u64,
    /// By what the reader's copy is known, if there is one.
    known: Option<String>,
}

impl FromRequestParts<Web> for Page {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Page, Fault> {
        let mut page = Page::bare(&parts.headers, web.in_force(), web.now());
        page.person = parts.extensions.get::<Person>().cloned();
        page.sight = Sight::of(page.person.as_ref(), web.in_force());
        page.here = parts.uri.path_and_query().map_or_else(|| "/".into(), ToString::to_string);
        (page.firing, page.dead) = page.sight.counted(web).await?;
        Ok(page)
    }
}

impl Page {
    /// A page of which no number is known, and nobody who reads it.
    pub(in crate::web) fn bare(headers: &HeaderMap, in_force: Arc<InForce>, now: Timestamp) -> Page {
        let zone = cookie(headers, "zone").and_then(|text| {
            let name = String::from_utf8(percent_decoded(text)).ok()?;
            // A path, a rule or an offset is no name of a zone.
            let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
            if is_name && name.len() < 64 { TimeZone::get(&name).ok() } else { None }
        });
        Page {
            language: language_of(headers),
            zone: zone.unwrap_or_else(|| in_force.config.timezone.clone()),
            theme: match cookie(headers, "theme") {
                Some("light") => "light",
                Some("dark") => "dark",
                _ => "",
            },
            person: None,
            sight: Sight::of(None, Arc::clone(&in_force)),
            now,
            minute: minute_of(now),
            here: "/".into(),
            in_force,
            firing: 0,
            dead: 0,
            known: headers.get(header::IF_NONE_MATCH).and_then(|tag| Some(tag.to_str().ok()?.to_string())),
        }
    }

    /// Whether the reader may do more than look.
    pub(in crate::web) fn may_act(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.role >= Role::Responder)
    }

    /// The labels that the reader's token is for; empty where it is for all.
    pub(in crate::web) fn scope(&self) -> String {
        display_text(&self.sight.words())
    }

    /// By what name the reader is recorded.
    pub(in crate::web) fn who(&self) -> String {
        self.person.as_ref().map(|person| person.name.clone()).unwrap_or_default()
    }

    /// Who reads.
    pub(in crate::web) fn reader(&self) -> String {
        self.person.as_ref().map(|person| display_text(&person.name)).unwrap_or_default()
    }

    /// Whether the reader has signed in here, and can sign out.
    pub(in crate::web) fn has_session(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.known_by == crate::web::access::KnownBy::Session)
    }

    /// Whether the reader is whoever is on the machine, and has no name.
    pub(in crate::web) fn is_alone(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.known_by == crate::web::access::KnownBy::Machine)
    }

    /// Whether the page is one of `section`.
    pub(in crate::web) fn is_at(&self, section: &str) -> bool {
        let path = self.here.split('?').next().unwrap_or_default();
        if section == "/" { path == "/" } else { path == section || path.starts_with(&format!("{section}/")) }
    }

    /// A phrase of the catalog.
    pub(in crate::web) fn say(&self, key: &str) -> String {
        self.language.say(key, &[])
    }

    /// A phrase with one value in it.
    pub(in crate::web) fn say_with(&self, key: &str, name: &str, value: impl ToString) -> String {
        self.language.say(key, &[(name, &value.to_string())])
    }

    /// The phrase for one of several words, by its key's head and the word.
    pub(in crate::web) fn say_of(&self, head: &str, word: &str) -> String {
        self.say(&format!("{head}.{word}"))
    }

    /// One of the program's own words.
    pub(in crate::web) fn word(&self, word: &str) -> String {
        self.language.word(word)
    }

    /// The time of day, with the day where it is another.
    pub(in crate::web) fn clock(&self, at: &Timestamp) -> String {
        words::short_time(*at, self.now, &self.zone, self.language)
    }

    /// Date, time and offset in full.
    pub(in crate::web) fn full(&self, at: &Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
    }

    /// How long ago it was, to the minute.
    pub(in crate::web) fn ago(&self, at: &Timestamp) -> String {
        let ago = minutes(self.minute.duration_since(*at));
        if ago.is_zero() {
            self.say("web.just_now")
        } else {
            self.say_with("web.ago", "n", self.language.duration(ago))
        }
    }

    /// How far ahead it is, to the minute.
    pub(in crate::web) fn ahead(&self, at: &Timestamp) -> String {
        let ahead = minutes(at.duration_since(self.minute));
        if ahead.is_zero() { self.say("web.now") } else { self.say_with("web.in", "n", self.language.duration(ahead)) }
    }

    /// How long a run has lasted: one that goes on, to the minute.
    pub(in crate::web) fn run_lasted(&self, run: &Instance) -> Option<String> {
        if run.status.has_ended() {
            return run.duration(self.now).map(|lasted| self.lasted(lasted));
        }
        let so_far = minutes(run.duration(self.minute).unwrap_or_default().try_into().unwrap_or_default());
        Some(self.language.duration(so_far)).filter(|_| !so_far.is_zero())
    }

    /// A duration in words, to the second.
    pub(in crate::web) fn lasted(&self, duration: Duration) -> String {
        let whole = if duration.as_secs() > 0 { Duration::from_secs(duration.as_secs()) } else { duration };
        self.language.duration(whole)
    }

    /// A duration of milliseconds.
    pub(in crate::web) fn lasted_ms(&self, milliseconds: &u64) -> String {
        self.lasted(Duration::from_millis(*milliseconds))
    }

    /// The zone by name and offset.
    pub(in crate::web) fn zone_name(&self) -> String {
        let name = self.zone.iana_name().unwrap_or("");
        format!("{name} (UTC{})", self.now.to_zoned(self.zone.clone()).strftime("%:z")).trim().to_string()
    }

    /// A foreign text as it may be shown: nothing in it steers the terminal, the page or the direction of reading.
    pub(in crate::web) fn plain(&self, text: &str) -> String {
        display_text(text)
    }

    /// Why something failed: the program's own words in the reader's language, the words of others as they are.
    pub(in crate::web) fn reason(&self, text: &str) -> String {
        display_text(&self.language.word(text))
    }

    /// What a channel answered to an attempt: its word, and why that failed, which may begin with the word.
    pub(in crate::web) fn answer(&self, status: Option<&str>, error: Option<&str>) -> String {
        let is_said =
            |status: &&str| error.is_some_and(|error| error.split([' ', ':', ',']).any(|word| word == *status));
        let status = status.filter(|status| !is_said(status)).map(|status| self.plain(status));
        status.into_iter().chain(error.map(|error| self.reason(error))).collect::<Vec<_>>().join(" ")
    }

    /// A sentence that is put together, in the reader's language and zone.
    pub(in crate::web) fn says(&self, saying: &Saying) -> String {
        display_text(&saying.words(self.language, &self.zone))
    }

    /// What held an alert back, by the store's word for that: "the mute window nights".
    pub(in crate::web) fn held_back_by(&self, word: &str) -> String {
        display_text(&words::suppression(word, self.language))
    }

    /// What an alert is about, in the reader's language.
    pub(in crate::web) fn summary(&self, alert: &Alert) -> String {
        display_text(&words::summary(&alert.facts, self.language))
    }

    /// The language as a browser is told of it.
    pub(in crate::web) fn lang(&self) -> &'static str {
        match self.language {
            Language::En => "en",
            Language::Zh => "zh-CN",
        }
    }

    /// A text as a part of a query.
    pub(in crate::web) fn enc(&self, text: &str) -> String {
        encoded(text)
    }

    /// The version that runs.
    pub(in crate::web) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// Whole minutes: since a minute is over half a minute on the average, it is added.
fn minutes(span: SignedDuration) -> Duration {
    Duration::from_secs(u64::try_from((span.as_secs() + 30).div_euclid(60)).unwrap_or(0) * 60)
}

/// The language that the reader has chosen, or that their browser asks for first of those that there are.
pub(in crate::web) fn language_of(headers: &HeaderMap) -> Language {
    if let Some(chosen) = cookie(headers, "lang").and_then(Language::from_word) {
        return chosen;
    }
    let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = asked.split(',').find_map(|part| {
        let tag = part.split([';', '-']).next().unwrap_or_default().trim().to_ascii_lowercase();
        Language::from_word(&tag)
    });
    first.unwrap_or_default()
}

/// A page as it goes out; nothing but a word where the reader has it already.
pub(in crate::web) fn shown(page: &Page, template: &impl Template) -> Result<Response, Fault> {
    let text = rendered(template)?;
    let tag = format!("W/\"{}\"", hex(&Sha256::digest(text.as_bytes())[..12]));
    // Forms and names of the reader are in it: it is this reader's alone, and asked for anew each time.
    let headers = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, "private, no-cache".to_string())];
    if page.known.as_deref() == Some(tag.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, Html(text)).into_response())
}

/// The text of a template.
pub(in crate::web) fn rendered(template: &impl Template) -> Result<String, Fault> {
    template.render().map_err(|error| {
        tracing::error!(%error, "a page cannot be rendered");
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, Saying::of("refused.not-shown"))
    })
}

/// A name as a part of a path or a query.
pub(in crate::web) fn encoded(text: &str) -> String {
    percent_encoded(text)
}

/// The page of a job.
pub(in crate::web) fn job_link(source: &str, job: &str) -> String {
    format!("/jobs/{}/{}", encoded(source), encoded(job))
}

/// The explanation of a run.
pub(in crate::web) fn run_link(source: &str, job: &str, run: &str) -> String {
    format!("/explain?source={}&job={}&run={}", encoded(source), encoded(job), encoded(run))
}

/// The page of an alert.
pub(in crate::web) fn alert_link(id: &str) -> String {
    format!("/alerts/{}", encoded(id))
}
