//! Text with variables: bytes to send or expect, and patterns for one line.
//!
//! A variable is bound by a named group of a `<~` line, or is the time at which the run began:
//! `${now}` in Unix seconds and `${now_ms}` in milliseconds, with an offset if needed
//! (`${now+10}`).

use std::collections::HashMap;

use regex::bytes::Regex;

use super::hex::{self, HexPart};
use super::readable::{Piece, pieces};

/// Bytes with variables in them.
#[derive(Debug, Clone)]
pub struct Template(Vec<TemplatePart>);

#[derive(Debug, Clone)]
enum TemplatePart {
    Bytes(Vec<u8>),
    Captured(String),
    Now { milliseconds: bool, offset: i64 },
}

impl Template {
    /// Reads `text` and its escapes, with `end` after it.
    pub(super) fn read(text: &str, end: &[u8]) -> Result<Template, String> {
        let mut parts = Vec::new();
        for piece in pieces(text)? {
            parts.push(match piece {
                Piece::Bytes(bytes) => TemplatePart::Bytes(bytes),
                Piece::Variable(name) => variable(name)?,
            });
        }
        match parts.last_mut() {
            Some(TemplatePart::Bytes(bytes)) => bytes.extend_from_slice(end),
            _ => parts.push(TemplatePart::Bytes(end.to_vec())),
        }
        Ok(Template(parts))
    }

    /// Reads a line in hexadecimal.
    pub(super) fn read_hex(text: &str) -> Result<Template, String> {
        let parts = hex::parts(text)?.into_iter().map(|part| match part {
            HexPart::Bytes(bytes) => Ok(TemplatePart::Bytes(bytes)),
            HexPart::Variable(name) => variable(&name),
            HexPart::Any(_) | HexPart::Capture(..) => {
                Err("only an answer has bytes of any kind".to_owned())
            }
        });
        Ok(Template(parts.collect::<Result<_, _>>()?))
    }

    /// The captured variables that it needs.
    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        needs(&self.0)
    }

    /// The bytes, with the variables bound so far.
    pub(super) fn bytes(&self, known: &Bindings) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            match part {
                TemplatePart::Bytes(fixed) => bytes.extend_from_slice(fixed),
                other => bytes.extend_from_slice(&known.value(other)),
            }
        }
        bytes
    }
}

/// Bytes of an answer in hexadecimal, some of which may be of any kind.
#[derive(Debug, Clone)]
pub struct HexPattern {
    text: String,
    parts: Vec<HexPart>,
}

impl HexPattern {
    pub(super) fn read(text: &str) -> Result<HexPattern, String> {
        let parts = hex::parts(text)?;
        if let Some(HexPart::Variable(name) | HexPart::Capture(name, _)) =
            parts.iter().find(|part| {
                matches!(part, HexPart::Variable(name) | HexPart::Capture(name, _)
                if !matches!(variable(name), Ok(TemplatePart::Captured(_))))
            })
        {
            return Err(format!("${{{name}}} can't be the name of captured bytes"));
        }
        Ok(HexPattern {
            text: text.to_owned(),
            parts,
        })
    }

    /// The line as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The variables that a match binds.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            HexPart::Capture(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            HexPart::Variable(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The bytes to expect. Those of any kind are the answer's, 0 beyond its end.
    pub(super) fn bytes(&self, answer: &[u8], known: &Bindings) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                HexPart::Bytes(fixed) => bytes.extend_from_slice(fixed),
                HexPart::Variable(name) => {
                    bytes.extend(known.captured.get(name).into_iter().flatten());
                }
                HexPart::Any(length) | HexPart::Capture(_, length) => {
                    let end = bytes.len() + length;
                    let there = bytes.len().min(answer.len())..end.min(answer.len());
                    bytes.extend_from_slice(&answer[there]);
                    bytes.resize(end, 0);
                }
            }
        }
        bytes
    }

    /// Binds the variables to their bytes of an answer that has been compared.
    pub(super) fn capture(&self, mut answer: &[u8], known: &mut Bindings) {
        for part in &self.parts {
            let length = match part {
                HexPart::Bytes(fixed) => fixed.len(),
                HexPart::Variable(name) => known.captured.get(name).map_or(0, Vec::len),
                HexPart::Any(length) | HexPart::Capture(_, length) => *length,
            };
            let (bytes, rest) = answer.split_at(length.min(answer.len()));
            if let HexPart::Capture(name, _) = part {
                known.captured.insert(name.clone(), bytes.to_vec());
            }
            answer = rest;
        }
    }
}

/// A regular expression that must match a line whole, without its CRLF. Bytes, not characters: `\w`
/// is ASCII.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    parts: Vec<TemplatePart>,
    names: Vec<String>,
}

impl Pattern {
    pub(super) fn read(text: &str) -> Result<Pattern, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or("${ without its }")?;
            parts.push(TemplatePart::Bytes(before.as_bytes().to_vec()));
            parts.push(variable(name)?);
            rest = behind;
        }
        parts.push(TemplatePart::Bytes(rest.as_bytes().to_vec()));
        let mut pattern = Pattern {
            text: text.to_owned(),
            parts,
            names: Vec::new(),
        };
        let regex = pattern.regex(&Bindings::default())?;
        pattern.names = regex.capture_names().flatten().map(str::to_owned).collect();
        Ok(pattern)
    }

    /// The pattern as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The variables that a match binds.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn needs(&self) -> impl Iterator<Item = &str> {
        needs(&self.parts)
    }

    fn regex(&self, known: &Bindings) -> Result<Regex, String> {
        let mut text = String::from(r"\A(?-u:");
        for part in &self.parts {
            match part {
                TemplatePart::Bytes(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
                other => {
                    for byte in known.value(other) {
                        text.push_str(&format!("\\x{byte:02x}"));
                    }
                }
            }
        }
        text.push_str(r")\z");
        Regex::new(&text).map_err(|error| format!("not a regular expression: {error}"))
    }

    /// Whether `line` matches; if it does, its named groups are bound from now on.
    pub(super) fn matches(&self, line: &[u8], known: &mut Bindings) -> bool {
        let Ok(regex) = self.regex(known) else {
            return false;
        };
        let Some(captures) = regex.captures(line) else {
            return false;
        };
        for name in &self.names {
            if let Some(group) = captures.name(name) {
                known
                    .captured
                    .insert(name.clone(), group.as_bytes().to_vec());
            }
        }
        true
    }
}

fn needs(parts: &[TemplatePart]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        TemplatePart::Captured(name) => Some(name.as_str()),
        _ => None,
    })
}

fn variable(text: &str) -> Result<TemplatePart, String> {
    let sign = text.find(['+', '-']).unwrap_or(text.len());
    let (name, offset) = text.split_at(sign);
    let known = matches!(name, "now" | "now_ms");
    if !known && !offset.is_empty() {
        return Err(format!("${{{text}}}: only now and now_ms take an offset"));
    }
    if known {
        let offset = if offset.is_empty() { "0" } else { offset };
        let offset = offset
            .parse()
            .map_err(|_| format!("${{{text}}}: not an offset"))?;
        return Ok(TemplatePart::Now {
            milliseconds: name == "now_ms",
            offset,
        });
    }
    let shape = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || !name.chars().all(shape) {
        return Err(format!(
            "${{{text}}}: a name has small letters, digits and _"
        ));
    }
    Ok(TemplatePart::Captured(name.to_owned()))
}

/// The state of a run: its start time and the captured values.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    began_ms: u64,
    captured: HashMap<String, Vec<u8>>,
}

impl Bindings {
    /// A run that begins at `began_ms`, Unix milliseconds.
    pub(super) fn at(began_ms: u64) -> Bindings {
        Bindings {
            began_ms,
            captured: HashMap::new(),
        }
    }

    fn value(&self, part: &TemplatePart) -> Vec<u8> {
        match part {
            TemplatePart::Bytes(bytes) => bytes.clone(),
            TemplatePart::Captured(name) => self.captured.get(name).cloned().unwrap_or_default(),
            TemplatePart::Now {
                milliseconds,
                offset,
            } => {
                let unit = if *milliseconds {
                    self.began_ms
                } else {
                    self.began_ms / 1000
                };
                unit.saturating_add_signed(*offset).to_string().into_bytes()
            }
        }
    }
}
