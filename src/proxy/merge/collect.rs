//! Replies that are put together when all of them are complete: minimum, union, sums by name, and texts of figures.
//!
//! An error of one part is the reply to the whole request, with two exceptions: commands for which one success is
//! enough, and figures that are summed over the available upstreams.

use std::hash::{BuildHasher, RandomState};

use ahash::{AHashMap, AHashSet};

use crate::protocol::framing::reply::{
    BinaryReply, FrameState, ReplyFramer, ReplyShape, memcached,
};
use crate::protocol::framing::request::MergeRule;
use crate::protocol::memcached::binary::Status;
use crate::protocol::resp::parse_integer;
use crate::proxy::merge::{COLLECTED_LIMIT, PartReply, PartStart, ReplyMerge, figures, frames};

impl PartReply {
    /// Whether the start of the part is known. A reply that is collected has to be complete for
    /// that.
    pub(super) fn collected(&mut self, binary: Option<&BinaryReply>) -> bool {
        self.head = if self.ended && binary.is_some() {
            match frames::is_error(&self.buffer) {
                true => PartStart::Error(self.buffer.clone()),
                false => PartStart::Good(0),
            }
        } else if self.ended {
            let line = self.buffer.split(|byte| *byte == b'\r').next();
            match line {
                Some([b'-', ..]) => PartStart::Error(self.buffer.clone()),
                Some(line) if memcached::is_error(line) => PartStart::Error(self.buffer.clone()),
                _ => PartStart::Good(0),
            }
        } else if self.buffer.len() >= COLLECTED_LIMIT {
            let shape = binary.map_or(ReplyShape::Resp, |binary| ReplyShape::Binary(*binary));
            let error = "an upstream's reply is too long to be merged with others";
            PartStart::Error(shape.error(Status::OutOfMemory, error))
        } else {
            return false;
        };
        true
    }
}

impl ReplyMerge {
    /// Writes the reply that is made of all parts.
    pub(super) fn combine(&self, out: &mut Vec<u8>) {
        let (mut replies, mut errors) = (Vec::new(), Vec::new());
        for part in &self.parts {
            match &part.head {
                PartStart::Good(_) => replies.push(&part.buffer[..]),
                PartStart::Error(error) => errors.push(error),
                PartStart::Missed | PartStart::Unknown => {}
            }
        }
        let one_is_enough = matches!(
            self.join,
            MergeRule::OneSucceeded | MergeRule::Info | MergeRule::Stats
        );
        if let Some(error) = errors.first()
            && (replies.is_empty() || !one_is_enough)
        {
            return out.extend_from_slice(error);
        }
        let combined = match self.join {
            MergeRule::Min => min(&replies),
            MergeRule::And => and(&replies),
            MergeRule::Union => union(&replies),
            MergeRule::PairSums => pair_sums(&replies),
            MergeRule::OneOf => Some(one_of(&replies).to_vec()),
            MergeRule::Info => Some(figures::info(&replies, &self.tail)),
            MergeRule::Stats => Some(match &self.binary {
                Some(binary) => frames::stats(&replies, &self.tail, binary),
                None => figures::stats(&replies, &self.tail),
            }),
            MergeRule::SameFrame => self.binary.map(|binary| frames::same(&replies, &binary)),
            _ => replies.first().map(|reply| reply.to_vec()),
        };
        match combined {
            Some(reply) => out.extend_from_slice(&reply),
            None => {
                out.extend_from_slice(b"-ERR upstreams sent replies that don't fit the request\r\n")
            }
        }
    }
}

/// The elements of an array, each as it came; `None` if it is none.
fn elements(reply: &[u8]) -> Option<Vec<&[u8]>> {
    let end = memchr::memchr(b'\n', reply)?;
    let count: usize = match reply[0] {
        b'*' | b'~' => std::str::from_utf8(&reply[1..end - 1]).ok()?.parse().ok()?,
        _ => return None,
    };
    let mut rest = &reply[end + 1..];
    let mut elements = Vec::new();
    for _ in 0..count {
        let progress = ReplyFramer::new(ReplyShape::Resp).feed(rest);
        if progress.state != FrameState::Done {
            return None;
        }
        let (element, after) = rest.split_at(progress.used);
        elements.push(element);
        rest = after;
    }
    Some(elements)
}

fn integer(reply: &[u8]) -> Option<i64> {
    parse_integer(reply.strip_prefix(b":")?.strip_suffix(b"\r\n")?)
}

fn array(elements: &[&[u8]]) -> Vec<u8> {
    let head = format!("*{}\r\n", elements.len()).into_bytes();
    [head, elements.concat()].concat()
}

fn integers(numbers: &[i64]) -> Vec<u8> {
    let elements: String = numbers
        .iter()
        .map(|number| format!(":{number}\r\n"))
        .collect();
    format!("*{}\r\n{elements}", numbers.len()).into_bytes()
}

fn min(replies: &[&[u8]]) -> Option<Vec<u8>> {
    let numbers: Option<Vec<i64>> = replies.iter().map(|reply| integer(reply)).collect();
    let least = numbers?.into_iter().min().unwrap_or(0);
    Some(format!(":{least}\r\n").into_bytes())
}

fn and(replies: &[&[u8]]) -> Option<Vec<u8>> {
    let mut all: Option<Vec<i64>> = None;
    for reply in replies {
        let numbers: Option<Vec<i64>> = elements(reply)?.into_iter().map(integer).collect();
        let numbers = numbers?;
        let all = all.get_or_insert_with(|| numbers.clone());
        if all.len() != numbers.len() {
            return None;
        }
        for (all, number) in all.iter_mut().zip(numbers) {
            *all = (*all).min(number);
        }
    }
    Some(integers(&all.unwrap_or_default()))
}

fn union(replies: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut seen, mut all) = (AHashSet::new(), Vec::new());
    for reply in replies {
        let new = elements(reply)?;
        all.extend(new.into_iter().filter(|element| seen.insert(*element)));
    }
    Some(array(&all))
}

fn pair_sums(replies: &[&[u8]]) -> Option<Vec<u8>> {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut sums: AHashMap<&[u8], i64> = AHashMap::new();
    for reply in replies {
        for pair in elements(reply)?.chunks(2) {
            let [name, number] = pair else { return None };
            let sum = sums.entry(name).or_insert_with(|| {
                names.push(name);
                0
            });
            *sum = sum.saturating_add(integer(number)?);
        }
    }
    let mut out = format!("*{}\r\n", 2 * names.len()).into_bytes();
    for name in names {
        out.extend_from_slice(name);
        out.extend_from_slice(format!(":{}\r\n", sums[name]).as_bytes());
    }
    Some(out)
}

/// One of the replies that are not null, by chance.
fn one_of<'a>(replies: &[&'a [u8]]) -> &'a [u8] {
    let is_null = |reply: &&&[u8]| **reply == b"$-1\r\n" || **reply == b"_\r\n";
    let (nulls, found): (Vec<&&[u8]>, Vec<&&[u8]>) = replies.iter().partition(is_null);
    match (found.len(), nulls.first()) {
        (0, Some(null)) => null,
        (0, None) => b"$-1\r\n",
        (count, _) => found[RandomState::new().hash_one(count) as usize % count],
    }
}
