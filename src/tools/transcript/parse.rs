//! From a file's text to a [`Transcript`]. Errors name file, line and the correction.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::format::*;
use super::values::{HexPattern, Pattern, Template};

/// An error in a file, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The file as it was named to [`parse`].
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The error, and how to correct it.
    pub what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// Reads a transcript. `name` is its name for people (`memcached/add`), `file` its name in errors.
pub fn parse(name: &str, file: &str, text: &str) -> Result<Transcript, ParseError> {
    let wrong = |line: usize, what: String| ParseError {
        file: file.to_owned(),
        line,
        what,
    };
    let mut lines = (1..).zip(text.lines());
    let mut header = Header::default();
    let mut last = 1;
    for (line, text) in lines.by_ref() {
        last = line;
        if text.is_empty() && header.begun {
            break;
        }
        header.line(text).map_err(|what| wrong(line, what))?;
    }
    let mut transcript = header
        .finish(name, file)
        .map_err(|what| wrong(last, what))?;
    let mut conversation = Conversation::default();
    for (line, text) in lines {
        last = line;
        conversation
            .line(line, text, &transcript.agrees)
            .map_err(|what| wrong(line, what))?;
    }
    conversation.end_exchange();
    if conversation.steps.is_empty() {
        return Err(wrong(last, "no conversation after the header".into()));
    }
    transcript.connections = conversation
        .connections
        .into_iter()
        .map(|open| open.name)
        .collect();
    transcript.steps = conversation.steps;
    Ok(transcript)
}

/// The lines `name: value` before the first blank line.
#[derive(Default)]
struct Header {
    begun: bool,
    protocol: Option<Protocol>,
    shows: Option<String>,
    stage: Option<u32>,
    agrees: Option<Agrees>,
    options: Vec<(String, String)>,
    only_as_written: Option<String>,
    over_udp: bool,
    seen: Vec<String>,
}

impl Header {
    fn line(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        self.begun = true;
        let (name, value) = text
            .split_once(": ")
            .map(|(name, value)| (name, value.trim()))
            .filter(|(_, value)| !value.is_empty())
            .ok_or("a header line is `name: value`; a blank line ends the header")?;
        if self.seen.iter().any(|seen| seen == name) {
            return Err(format!("a second `{name}:`"));
        }
        self.seen.push(name.to_owned());
        match name {
            "protocol" => {
                let found = Protocol::ALL.into_iter().find(|p| p.name() == value);
                self.protocol = Some(found.ok_or("protocol is memcached, resp or echo")?);
            }
            "shows" => self.shows = Some(value.to_owned()),
            "stage" => self.stage = Some(value.parse().map_err(|_| "stage is a number")?),
            "agrees" => self.agrees = Some(agrees(value)?),
            "options" => {
                for option in value.split_whitespace() {
                    let (name, value) = option
                        .split_once('=')
                        .ok_or("options are `name=value name=value`")?;
                    self.options.push((name.to_owned(), value.to_owned()));
                }
            }
            "delivery" => {
                let reason = value.strip_prefix("as written only: ").map(str::trim);
                let reason = reason.ok_or("delivery can only be `as written only: REASON`")?;
                self.only_as_written = Some(reason.to_owned());
            }
            "transport" if value == "udp" => self.over_udp = true,
            "transport" => return Err("transport can only be udp".into()),
            other => {
                return Err(format!(
                    "there is no header {other}: the headers are protocol, shows, stage, agrees, \
                     options, delivery, transport"
                ));
            }
        }
        Ok(())
    }

    fn finish(self, name: &str, file: &str) -> Result<Transcript, String> {
        let missing = |what: &str| format!("the header has no `{what}:`");
        let protocol = self.protocol.ok_or_else(|| missing("protocol"))?;
        let agrees = self.agrees.ok_or_else(|| missing("agrees"))?;
        match (protocol, &agrees) {
            (_, Agrees::LarderOnly(_))
            | (
                Protocol::Memcached,
                Agrees::Memcached16 | Agrees::Memcached1618 | Agrees::Memcached1645,
            )
            | (Protocol::Resp, Agrees::Redis70) => {}
            _ => return Err(format!("{agrees} doesn't speak {protocol}")),
        }
        let datagram = self.over_udp.then(|| "a datagram is sent whole".to_owned());
        Ok(Transcript {
            name: name.to_owned(),
            file: file.to_owned(),
            protocol,
            shows: self.shows.ok_or_else(|| missing("shows"))?,
            stage: self.stage.ok_or_else(|| missing("stage"))?,
            agrees,
            options: self.options,
            only_as_written: self.only_as_written.or(datagram),
            over_udp: self.over_udp,
            connections: Vec::new(),
            steps: Vec::new(),
        })
    }
}

fn agrees(value: &str) -> Result<Agrees, String> {
    match value {
        "memcached 1.6" => Ok(Agrees::Memcached16),
        "memcached 1.6.18" => Ok(Agrees::Memcached1618),
        "memcached 1.6.45" => Ok(Agrees::Memcached1645),
        "redis 7.0" => Ok(Agrees::Redis70),
        _ => match value.strip_prefix("larder only: ") {
            Some(reason) => Ok(Agrees::LarderOnly(reason.trim().to_owned())),
            None => Err("agrees is `memcached 1.6`, `memcached 1.6.18`, `memcached 1.6.45`, `redis 7.0` or \
                      `larder only: REASON`".into()),
        },
    }
}

/// `NAME` `>` or `<`, the side of the answer, the kind of line, and after a space its text.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\A([a-z][a-z0-9_]*)?(?:(>)|<([LR]?))(-|~|x|eof)?(?: (.*))?\z")
        .expect("it is valid")
});

struct NamedConnection {
    name: String,
    /// The sending side is closed.
    silent: bool,
    /// The server has closed it, for the side whose answers have that line: no further answer can
    /// be expected.
    closed: Vec<Option<Side>>,
}

#[derive(Default)]
struct Conversation {
    connections: Vec<NamedConnection>,
    steps: Vec<Step>,
    exchange: TranscriptExchange,
    captured: Vec<String>,
}

impl Conversation {
    fn end_exchange(&mut self) {
        if !(self.exchange.sends.is_empty() && self.exchange.expects.is_empty()) {
            self.steps
                .push(Step::Exchange(std::mem::take(&mut self.exchange)));
        }
    }

    fn line(&mut self, line: usize, text: &str, agrees: &Agrees) -> Result<(), String> {
        if text.starts_with('#') {
            return Ok(());
        }
        if text.is_empty() {
            self.end_exchange();
            return Ok(());
        }
        if let Some(by) = text.strip_prefix("@ ") {
            self.end_exchange();
            self.steps.push(Step::Advance {
                line,
                by: duration(by)?,
            });
            return Ok(());
        }
        const SHAPE: &str = "a line begins with `> `, `>- `, `>x `, `< `, `<- `, `<x `, `<~ `, `<L `, \
             `<R `, `<eof`, `>eof`, `@ ` or `#`, with the name of a connection before it if it has one";
        let parts = LINE.captures(text).ok_or(SHAPE)?;
        let name = parts.get(1).map_or("", |name| name.as_str());
        let sends = parts.get(2).is_some();
        let how = parts.get(4).map_or("", |how| how.as_str());
        let said = parts.get(5).map_or("", |said| said.as_str());
        if said.ends_with([' ', '\t']) {
            return Err("a space or tab at the end can't be seen: write \\x20 or \\t".into());
        }
        if how == "eof" && !said.is_empty() {
            return Err("nothing can follow eof: text needs a space before it".into());
        }
        let connection = self.connection(name);
        if sends {
            self.send(line, connection, how, said)
        } else {
            let from = match parts.get(3).map_or("", |from| from.as_str()) {
                "L" => Some(Side::Larder),
                "R" => Some(Side::Real),
                _ => None,
            };
            if from.is_some() && matches!(agrees, Agrees::LarderOnly(_)) {
                return Err(
                    "<L and <R declare a difference to the real server, but `agrees:` \
                            names none"
                        .into(),
                );
            }
            self.expect(line, connection, from, how, said)
        }
    }

    fn connection(&mut self, name: &str) -> usize {
        let known = self.connections.iter().position(|open| open.name == name);
        known.unwrap_or_else(|| {
            let name = name.to_owned();
            self.connections.push(NamedConnection {
                name,
                silent: false,
                closed: Vec::new(),
            });
            self.connections.len() - 1
        })
    }

    fn send(&mut self, line: usize, at: usize, how: &str, said: &str) -> Result<(), String> {
        // Bytes sent after an answer begin a new exchange, with or without a blank line.
        if !self.exchange.expects.is_empty() {
            self.end_exchange();
        }
        let connection = &mut self.connections[at];
        if connection.silent {
            return Err("this connection has already sent its end".into());
        }
        if connection.closed.contains(&None) {
            return Err("the server has closed this connection".into());
        }
        let what = match how {
            "eof" => {
                connection.silent = true;
                Sent::End
            }
            "~" => return Err("a pattern can't be sent".into()),
            "-" => Sent::Bytes(self.template(said, b"")?),
            "x" => Sent::Bytes(self.hex_template(said)?),
            _ => Sent::Bytes(self.template(said, b"\r\n")?),
        };
        self.exchange.sends.push(Sending {
            line,
            connection: at,
            what,
        });
        Ok(())
    }

    fn expect(
        &mut self,
        line: usize,
        at: usize,
        from: Option<Side>,
        how: &str,
        said: &str,
    ) -> Result<(), String> {
        if self.connections[at]
            .closed
            .iter()
            .any(|closed| closed.is_none() || *closed == from)
        {
            return Err("nothing can come after eof".into());
        }
        let what = match how {
            "eof" => {
                self.connections[at].closed.push(from);
                Expected::Close
            }
            "~" => {
                let pattern = Pattern::read(said)?;
                self.known(pattern.needs())?;
                self.captured.extend(pattern.names().iter().cloned());
                Expected::Line(pattern)
            }
            "-" => Expected::Bytes(self.template(said, b"")?),
            "x" => {
                let pattern = HexPattern::read(said)?;
                self.known(pattern.needs())?;
                self.captured.extend(pattern.names().map(str::to_owned));
                Expected::Hex(pattern)
            }
            _ => Expected::Bytes(self.template(said, b"\r\n")?),
        };
        self.exchange.expects.push(Expectation {
            line,
            connection: at,
            from,
            what,
        });
        Ok(())
    }

    fn template(&self, said: &str, end: &[u8]) -> Result<Template, String> {
        let template = Template::read(said, end)?;
        self.known(template.needs())?;
        Ok(template)
    }

    fn hex_template(&self, said: &str) -> Result<Template, String> {
        let template = Template::read_hex(said)?;
        self.known(template.needs())?;
        Ok(template)
    }

    fn known<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Result<(), String> {
        match names.find(|name| !self.captured.iter().any(|known| known == name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "${{{name}}} is not known here: it comes from a group (?<{name}>…) of an earlier \
                 `<~` line, from ${{{name}:BYTES}} of a `<x` line, or is now or now_ms"
            )),
        }
    }
}

/// `10s`, `1500ms`, `2m`, `3h`, `30d`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let number: Option<u64> = number.parse().ok();
    match number.and_then(|n| n.checked_mul(milliseconds)) {
        Some(time) if time > 0 => Ok(Duration::from_millis(time)),
        _ => Err("a time is a number with ms, s, m, h or d, as in `@ 10s`".into()),
    }
}

#[cfg(test)]
mod tests;
