//! The message without any template: what is sent when a template fails, so that no alert is lost to one, and what is too
//! short for one.

use crate::model::{AlertState, DigestFacts, GroupFacts, Message, MessageData, Prose, TroublePart};
use crate::template::{Locale, display_text, level, truncated};
use crate::words::{
    Listener, Subject, ack_line, command, group_lines, headline, lately, short_id, subject, summary, when,
};

/// A message to be told plainly, and why.
pub(super) struct Plain<'a> {
    pub(super) message: &'a Message,
    /// For whom it is told.
    pub(super) locale: &'a Locale,
    /// What was wrong with the templates; none of a message that has none.
    pub(super) problem: Option<&'a str>,
}

impl Plain<'_> {
    /// One line: how bad, what, since when; or who is on it.
    pub(super) fn headline(&self) -> String {
        let language = self.locale.language;
        if let Some(line) = ack_line(self.message, language) {
            return display_text(&truncated(&line, 400));
        }
        let level = level(self.message);
        let facts = match &self.message.data {
            MessageData::Alert(facts) => facts,
            MessageData::Group(_) => {
                let level = language.word(level).to_uppercase();
                return format!("[{level}] {}", headline(self.message, &level, &self.locale.timezone, language));
            }
            MessageData::Digest(_) => {
                return display_text(&headline(self.message, level, &self.locale.timezone, language));
            }
        };
        let level = language.word(level).to_uppercase();
        let summary = truncated(&summary(facts, language), 300);
        let when = when(facts, self.message.timestamp, &self.locale.timezone, language);
        display_text(&format!("[{level}] {summary}{when}"))
    }

    /// The whole message in lines, saying at its end why it looks like this. Free of control characters, not escaped.
    pub(super) fn text(&self) -> String {
        let note = self.problem.map(|problem| {
            let problem = display_text(&truncated(problem, 500));
            self.locale.language.say("plain.note", &[("problem", &problem)])
        });
        let lines = self.lines().into_iter().map(|line| display_text(&truncated(&line, 1500)));
        lines.chain(note).collect::<Vec<_>>().join("\n")
    }

    fn lines(&self) -> Vec<String> {
        let facts = match &self.message.data {
            MessageData::Alert(facts) => facts,
            MessageData::Group(group) => return self.group_lines(group),
            MessageData::Digest(facts) => return self.digest_lines(facts),
        };
        let language = self.locale.language;
        let mut lines = vec![self.headline()];
        if self.message.kind.is_about_ack() {
            let reason = facts.alert.acked.as_ref().and_then(|ack| ack.reason.as_deref());
            lines.extend(reason.map(|why| language.say("ack.reason", &[("why", why)])));
            lines.extend(self.act());
            return lines;
        }
        let mut say = |key: &str, values: &[(&str, &str)]| lines.push(language.say(key, values));
        let Subject { label, name, source } = subject(facts, language);
        say("plain.subject", &[("label", &label), ("name", &name), ("source", source.as_deref().unwrap_or_default())]);
        if let Some(instance) = &facts.instance {
            let status = language.word(instance.status.as_str());
            say("plain.instance", &[("instance", &instance.id), ("status", &status)]);
        }
        if let Some(status) = &facts.job.more.status {
            say("plain.job_status", &[("status", status)]);
        }
        let lately = lately(facts, self.message.timestamp, &self.locale.timezone, language);
        if let Some(lately) = lately {
            say("plain.lately", &[("lately", &lately)]);
        }
        let own = facts.alert.measures.error.as_ref();
        let error = facts.instance.as_ref().and_then(|instance| instance.error.as_ref()).or(own);
        if let Some(error) = error.filter(|_| facts.alert.state == AlertState::Firing) {
            say("plain.error", &[("error", error)]);
        }
        for node in facts.failing_nodes.iter().take(5) {
            let (status, log) = (language.word(node.status.as_str()), node.log_path.as_deref().unwrap_or_default());
            say("plain.node", &[("node", &node.name), ("status", &status), ("log", log)]);
        }
        if facts.node_details != "ok" && facts.alert.state == AlertState::Firing {
            say("node_unknown", &[("why", &language.word(&facts.node_details))]);
        }
        say("plain.rule", &[("rule", facts.alert.rule.as_str())]);
        lines.extend(facts.alert.links.description.as_ref().map(Prose::text));
        let link = |url: &Option<String>, key| Some(format!("{}: {}", language.say(key, &[]), url.as_ref()?));
        lines.extend(link(&facts.alert.links.runbook, "runbook"));
        lines.extend(link(&facts.alert.links.console_url, "open_console"));
        lines.extend(self.act());
        lines
    }

    /// The verdict, and a line for each job that is still broken.
    fn digest_lines(&self, facts: &DigestFacts) -> Vec<String> {
        let language = self.locale.language;
        let line =
            |part: &TroublePart| language.say("plain.job", &[("job", &part.job), ("source", part.source.as_str())]);
        std::iter::once(self.headline()).chain(facts.broken.shown.iter().take(20).map(line)).collect()
    }

    /// How bad each alert is, what it is about, and which jobs the lines stand for that tell of several.
    fn group_lines(&self, group: &GroupFacts) -> Vec<String> {
        let language = self.locale.language;
        let listener = Listener { language, timezone: &self.locale.timezone, now: self.message.timestamp };
        let mut lines = vec![self.headline()];
        for line in group_lines(group, &listener) {
            lines.push(format!("{}: {}", language.word(line.level).to_uppercase(), line.text));
            let guide = line.guide;
            lines.extend(line.names.into_iter().chain(line.node));
            lines.extend(Some(guide.description.text()).filter(|text| !text.is_empty()));
            let of = |job: Option<String>| job.map(|job| format!(" ({job})")).unwrap_or_default();
            let link = |url: Option<String>, job, key| Some(format!("{}{}: {}", language.say(key, &[]), of(job), url?));
            lines.extend(link(guide.runbook, guide.runbook_of, "runbook"));
            lines.extend(link(guide.console_url, guide.console_of, "open_console"));
        }
        if group.waiting > 0 {
            lines.push(language.say("group.more", &[("n", &group.waiting.to_string())]));
        }
        lines.extend(self.act());
        lines
    }

    /// By what the message is known, and how people act on it: by the page, where there is one, else by a command.
    fn act(&self) -> Vec<String> {
        let language = self.locale.language;
        let command = command(self.message).map(|command| format!("{} {command}", language.say("ack_page", &[])));
        let named = || Some(format!("{} {}", language.say("alert", &[]), short_id(self.message)?));
        let page = match &self.message.data {
            MessageData::Alert(facts) => [&facts.alert.links.url, &facts.alert.links.ack_url],
            MessageData::Group(group) => [&group.url, &None],
            MessageData::Digest(_) => [&None, &None],
        };
        let page = page.into_iter().zip(["open_page", "ack_page"]);
        let links = page.filter_map(|(url, key)| Some(format!("{}: {}", language.say(key, &[]), url.as_ref()?)));
        command.or_else(named).into_iter().chain(links).collect()
    }

    /// The lines of the whole message, each escaped, but for the configuration's own addresses at their ends, which `own` writes.
    pub(super) fn escaped(&self, escaped: impl Fn(&str) -> String, own: impl Fn(&str) -> String) -> Vec<String> {
        let mut known: Vec<&str> = Vec::new();
        for facts in self.message.data.alerts() {
            let links = &facts.alert.links;
            known.extend(
                [&links.runbook, &links.console_url, &links.url, &links.ack_url]
                    .into_iter()
                    .flatten()
                    .map(String::as_str),
            );
        }
        if let MessageData::Group(group) = &self.message.data {
            known.extend(group.url.as_deref());
        }
        let line = |line: &str| match known.iter().find_map(|url| Some((line.strip_suffix(url)?, url))) {
            Some((before, url)) => escaped(before) + &own(url),
            None => escaped(line),
        };
        self.text().lines().map(line).collect()
    }
}
