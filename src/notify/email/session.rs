//! The client's side of SMTP (RFC 5321): one command, one reply, and how long each step may take.
//!
//! Trusts the server with little: a reply has a size limit, an odd line in it harms nobody, and what was sent before TLS
//! began is not taken for a reply after it. Knows nothing of mails, settings or recipients.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::http::explained;
use crate::limits::SMTP_REPLY_BYTES_MAX;
use crate::template::display_text;

/// What the connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Step {
    /// Waiting for the one connection to be free.
    #[default]
    Queue,
    Connect,
    Encrypt,
    Login,
    Envelope,
    /// Asking whether the mail may come.
    Data,
    /// The mail is going out; from here on it may have arrived.
    Body,
    /// The server has all of it and has not said yet that it keeps it.
    Receipt,
}

impl Step {
    /// In words.
    pub(super) fn doing(self) -> &'static str {
        match self {
            Step::Queue => "while waiting for the connection",
            Step::Connect => "while connecting",
            Step::Encrypt => "while starting TLS",
            Step::Login => "while logging in",
            Step::Envelope | Step::Data => "while naming sender and recipient",
            Step::Body => "while the mail was being sent",
            Step::Receipt => "after the mail was sent",
        }
    }

    /// How long a server may think at this step: the least that RFC 5321, 4.5.3.2, wants it to be given.
    pub(super) fn patience(self) -> Duration {
        Duration::from_secs(match self {
            Step::Queue | Step::Connect | Step::Encrypt | Step::Login | Step::Envelope => 300,
            Step::Data => 120,
            Step::Body => 180,
            Step::Receipt => 600,
        })
    }
}

/// Why a step failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) why: Why,
    pub(super) text: String,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The server said so, with this code.
    Said(u16),
    /// Nothing came in time.
    Timeout,
    /// The connection broke, or what came is no SMTP.
    Broken,
    /// The server does not offer what the settings need to log in: people must mend that.
    NoLogin,
}

impl Failure {
    pub(super) fn new(why: Why, text: impl Into<String>) -> Failure {
        Failure { why, text: text.into() }
    }

    /// The same for an error of the connection.
    pub(super) fn of(error: &io::Error) -> Failure {
        let why = if error.kind() == io::ErrorKind::TimedOut { Why::Timeout } else { Why::Broken };
        Failure::new(why, explained(&error.to_string()))
    }

    fn in_time(step: Step) -> Failure {
        Failure::new(Why::Timeout, format!("no reply within {} s, {}", step.patience().as_secs(), step.doing()))
    }
}

/// What the server answered to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Its lines, without the code.
    pub(super) lines: Vec<String>,
}

/// Whatever bytes go through.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection, a command at a time.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    /// What came and was not read yet.
    unread: Vec<u8>,
    /// What the server can do, each with its parameters, in capitals: keywords are told in any case.
    can: Vec<Vec<String>>,
}

impl Session {
    /// Begins a conversation: waits for the greeting.
    pub(super) async fn begin(stream: Box<dyn Stream>, step: Step) -> Result<Session, Failure> {
        let mut session = Session::resume(stream);
        session.reply(step).await?;
        Ok(session)
    }

    /// Goes on with a conversation in which the other side does not speak first.
    pub(super) fn resume(stream: Box<dyn Stream>) -> Session {
        Session { stream, unread: Vec::new(), can: Vec::new() }
    }

    /// Says who we are, and learns what the server can do.
    pub(super) async fn greet(&mut self, hello: &str, step: Step) -> Result<(), Failure> {
        let reply = self.command(&format!("EHLO {hello}"), step).await?;
        let words = |line: &String| line.split([' ', '\t', '=']).map(str::to_uppercase).collect::<Vec<_>>();
        let features = reply.lines.iter().skip(1).map(words).map(|mut words| {
            words.retain(|word| !word.is_empty());
            words
        });
        self.can = features.filter(|words| !words.is_empty()).collect();
        Ok(())
    }

    /// Whether the server can do something.
    pub(super) fn can(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// The parameters of what the server can do.
    pub(super) fn parameters(&self, keyword: &str) -> Option<&[String]> {
        self.can.iter().find_map(|words| words.split_first().filter(|(first, _)| *first == keyword)).map(|it| it.1)
    }

    /// The bytes' way, to put TLS around it. What the server has sent without being asked would pass for a reply inside
    /// TLS, so it ends the connection.
    pub(super) fn into_stream(self) -> Result<Box<dyn Stream>, Failure> {
        match self.unread.is_empty() {
            true => Ok(self.stream),
            false => Err(Failure::new(Why::Broken, "the server sent more than its reply before TLS began")),
        }
    }

    /// Says one line and reads its reply, which must not be a refusal.
    pub(super) async fn command(&mut self, line: &str, step: Step) -> Result<Reply, Failure> {
        self.write(format!("{line}\r\n").as_bytes(), step).await?;
        self.reply(step).await
    }

    /// Sends the mail and waits for the receipt. Lines that begin with a dot get another one.
    pub(super) async fn mail(&mut self, mail: &[u8], step: &mut Step) -> Result<(), Failure> {
        *step = Step::Data;
        self.command("DATA", *step).await?;
        *step = Step::Body;
        for piece in stuffed(mail).chunks(16 << 10) {
            self.write(piece, *step).await?;
        }
        *step = Step::Receipt;
        self.reply(*step).await.map(drop)
    }

    async fn write(&mut self, bytes: &[u8], step: Step) -> Result<(), Failure> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        let written = tokio::time::timeout(step.patience(), write).await;
        written.map_err(|_| Failure::in_time(step))?.map_err(|error| Failure::of(&error))
    }

    /// One reply; a refusal is a failure.
    async fn reply(&mut self, step: Step) -> Result<Reply, Failure> {
        let read = tokio::time::timeout(step.patience(), self.read());
        let reply = read.await.map_err(|_| Failure::in_time(step))??;
        match reply.code {
            200..=399 => Ok(reply),
            code => Err(Failure::new(Why::Said(code), display_text(reply.lines.join(" ").trim()))),
        }
    }

    async fn read(&mut self) -> Result<Reply, Failure> {
        let mut lines = Vec::new();
        let (mut from, mut size) = (0, 0);
        loop {
            let end = self.unread[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at);
            if size + end.unwrap_or(self.unread.len()) - from > SMTP_REPLY_BYTES_MAX {
                let text = format!("the server's reply is longer than {} KiB", SMTP_REPLY_BYTES_MAX >> 10);
                return Err(Failure::new(Why::Broken, text));
            }
            let Some(end) = end else {
                self.unread.drain(..from);
                from = 0;
                let mut buffer = [0; 2048];
                match self.stream.read(&mut buffer).await.map_err(|error| Failure::of(&error))? {
                    0 => return Err(Failure::new(Why::Broken, "the server closed the connection")),
                    read => self.unread.extend_from_slice(&buffer[..read]),
                }
                continue;
            };
            let line = String::from_utf8_lossy(&self.unread[from..end]).trim_end().to_string();
            size += end + 1 - from;
            from = end + 1;
            // A line with nothing in it says nothing.
            if line.is_empty() {
                continue;
            }
            let Some((code, goes_on, text)) = parsed(&line) else {
                let said: String = display_text(&line).chars().take(100).collect();
                return Err(Failure::new(Why::Broken, format!("this is not an SMTP reply: {said}")));
            };
            lines.push(text.to_string());
            if !goes_on {
                self.unread.drain(..from);
                return Ok(Reply { code, lines });
            }
        }
    }
}

/// A line of a reply: its code, whether more lines follow, and its text.
fn parsed(line: &str) -> Option<(u16, bool, &str)> {
    let code: u16 = line.get(..3).filter(|code| code.bytes().all(|it| it.is_ascii_digit()))?.parse().ok()?;
    let rest = &line[3..];
    match rest.chars().next() {
        None => Some((code, false, "")),
        Some(' ') => Some((code, false, &rest[1..])),
        Some('-') => Some((code, true, &rest[1..])),
        Some(_) => None,
    }
    .filter(|_| (200..600).contains(&code))
}

/// The mail as it goes over the line: a dot before each line that begins with one, and a line with a dot at the end.
fn stuffed(mail: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(mail.len() + 64);
    for line in mail.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_replies() {
        let table = [
            ("250 ok", Some((250, false, "ok"))),
            ("250-SIZE 1", Some((250, true, "SIZE 1"))),
            ("250", Some((250, false, ""))),
            ("250-", Some((250, true, ""))),
            ("25 ok", None),
            ("250_ok", None),
            ("HTTP/1.1 400", None),
            ("999 x", None),
            ("２50 x", None),
        ];
        for (line, expected) in table {
            assert_eq!(parsed(line), expected, "{line}");
        }
    }

    #[test]
    fn dots_are_doubled_and_the_end_is_a_line_of_its_own() {
        assert_eq!(stuffed(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(stuffed(b"a"), b"a\r\n.\r\n");
    }

    /// RFC 5321, 4.5.3.2: a server may think ten minutes over a mail it has got.
    #[test]
    fn each_step_has_the_patience_that_the_standard_wants() {
        let seconds = [Step::Connect, Step::Envelope, Step::Data, Step::Body, Step::Receipt].map(|it| it.patience());
        assert_eq!(seconds.map(|it| it.as_secs()), [300, 300, 120, 180, 600]);
        assert!(seconds.into_iter().all(|it| it < crate::limits::NOTIFY_SMTP_TIMEOUT));
    }

    /// Keywords in any case, a line with nothing in it, the old form of AUTH.
    #[tokio::test]
    async fn what_a_server_can_do_is_read_whatever_it_looks_like() {
        let (client, mut server) = tokio::io::duplex(1 << 10);
        let said = "220 hi\r\n250-me\r\n250-\r\n250-starttls\r\n\r\n250- \r\n250-AUTH=plain Login\r\n250 8bitMIME\r\n";
        server.write_all(said.as_bytes()).await.unwrap();
        let mut session = Session::begin(Box::new(client), Step::Connect).await.unwrap();
        session.greet("[127.0.0.1]", Step::Connect).await.unwrap();
        assert!(session.can("STARTTLS") && session.can("8BITMIME") && !session.can("SIZE"));
        assert_eq!(session.parameters("AUTH"), Some(&["PLAIN".to_string(), "LOGIN".to_string()][..]));
    }
}
