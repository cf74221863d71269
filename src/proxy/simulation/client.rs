//! A client of the simulation: a script of requests, and what a single server would answer to each.
//!
//! A client is the only one that uses its keys, so its own requests decide what it reads. Where an upstream has failed, a
//! write may have been executed or not: then both values are possible until the next read or write tells.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;

use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::proxy::settings::Protocol;
use crate::proxy::simulation::script::{Expected, Place, Step, Writer};

type Bytes = Vec<u8>;

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    steps: VecDeque<Step>,
    pub(crate) due: VecDeque<(ReplyShape, Expected)>,
    input: Bytes,
    /// What each key may hold.
    known: BTreeMap<Place, Vec<Option<Bytes>>>,
    /// Upstreams may fail, or keys move: errors are answers, too.
    pub(crate) lenient: bool,
    /// And the connection may end.
    pub(crate) fragile: bool,
    pub(crate) answers: usize,
}

impl Client {
    /// The client of this number, with a script of its own.
    pub(crate) fn new(
        rng: &mut Rng,
        number: usize,
        protocol: Protocol,
        (cluster, faulty): (bool, bool),
    ) -> Client {
        let mut writer = Writer::new(number, faulty);
        for _ in 0..rng.usize(5..25) {
            match protocol {
                Protocol::Memcached => writer.memcached(rng),
                Protocol::Resp => writer.resp(rng, cluster),
            }
            if rng.u8(..4) == 0 {
                writer.steps.push_back(Step::Settle);
            }
        }
        Client {
            steps: writer.steps,
            due: VecDeque::new(),
            input: Vec::new(),
            known: BTreeMap::new(),
            lenient: cluster || faulty,
            fragile: faulty,
            answers: 0,
        }
    }

    /// What it sends next, if it does.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        while let Some(Step::Settle) = self.steps.front() {
            if !self.due.is_empty() {
                return None;
            }
            self.steps.pop_front();
        }
        match self.steps.pop_front() {
            Some(Step::Ask(bytes, due)) => {
                self.due.extend(due);
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Its connection has ended: it asks for nothing more.
    pub(crate) fn give_up(&mut self) {
        self.steps.clear();
        self.due.clear();
        self.input.clear();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.steps.is_empty() && self.due.is_empty()
    }

    /// Takes bytes of answers.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(bytes);
        while !self.input.is_empty() {
            let Some((shape, expected)) = self.due.front().cloned() else {
                return Err(format!("not asked for: {}", self.input.escape_ascii()));
            };
            let progress = ReplyFramer::new(shape).feed(&self.input);
            match progress.state {
                FrameState::More => return Ok(()),
                FrameState::Garbage => {
                    return Err(format!("no reply: {}", self.input.escape_ascii()));
                }
                FrameState::Done => {}
            }
            let reply: Bytes = self.input.drain(..progress.used).collect();
            self.due.pop_front();
            self.answers += 1;
            if !self.check(&reply, &expected) {
                let reply = reply.escape_ascii();
                return Err(format!("answered {reply} where {expected:?} is due"));
            }
        }
        Ok(())
    }

    fn check(&mut self, reply: &[u8], expected: &Expected) -> bool {
        let is_error = [
            &b"-ERR upstream"[..],
            b"SERVER_ERROR upstream",
            b"-EXECABORT",
            b"-TRYAGAIN",
        ];
        if self.lenient && is_error.iter().any(|start| reply.starts_with(start)) {
            self.doubt(expected);
            return true;
        }
        match expected {
            Expected::Exactly(bytes) => reply == *bytes,
            Expected::Value(place) => self.check_value(place, value(reply)),
            Expected::Values(places) => match reply.starts_with(b"*") {
                true => {
                    let elements = elements(reply);
                    elements.len() == places.len()
                        && places
                            .iter()
                            .zip(elements)
                            .all(|(place, element)| self.check_value(place, value(element)))
                }
                false => self.check_blocks(places, reply),
            },
            Expected::Changed(bytes, changes) => {
                for (place, value) in changes {
                    self.known.insert(place.clone(), vec![value.clone()]);
                }
                match bytes.is_empty() {
                    // How many there were is not known.
                    true => reply.starts_with(b":"),
                    false => reply == bytes,
                }
            }
            // A key that is watched has changed, which only its move to another server does.
            Expected::Executed(_) if self.lenient && reply == b"*-1\r\n" => true,
            Expected::Executed(all) => {
                let elements = elements(reply);
                elements.len() == all.len()
                    && all
                        .iter()
                        .zip(elements)
                        .all(|(one, element)| self.check(element, one))
            }
        }
    }

    /// What a request that failed would have changed may have changed.
    fn doubt(&mut self, expected: &Expected) {
        match expected {
            Expected::Changed(_, changes) => {
                for (place, value) in changes {
                    let known = self.known.entry(place.clone()).or_insert(vec![None]);
                    known.push(value.clone());
                }
            }
            Expected::Executed(all) => all.iter().for_each(|one| self.doubt(one)),
            _ => {}
        }
    }

    fn check_value(&mut self, place: &Place, value: Option<&[u8]>) -> bool {
        let known = self.known.entry(place.clone()).or_insert(vec![None]);
        let found = known.iter().any(|known| known.as_deref() == value);
        *known = vec![value.map(<[u8]>::to_vec)];
        found
    }

    /// The blocks of memcached's `get`.
    fn check_blocks(&mut self, places: &[Place], mut reply: &[u8]) -> bool {
        for place in places {
            let start = [b"VALUE ", &place.1[..], b" 0 "].concat();
            let mut value = None;
            if let Some(rest) = reply.strip_prefix(&start[..]) {
                let end = rest.iter().position(|byte| *byte == b'\r').unwrap_or(0);
                let length: usize = number(&rest[..end]);
                value = rest.get(end + 2..end + 2 + length);
                reply = &rest[end + 4 + length..];
            }
            if !self.check_value(place, value) {
                return false;
            }
        }
        reply == b"END\r\n"
    }
}

fn number(digits: &[u8]) -> usize {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// The bytes of a bulk string or of what a status says; none of null.
fn value(reply: &[u8]) -> Option<&[u8]> {
    let end = reply.iter().position(|byte| *byte == b'\r')?;
    match reply[0] {
        b'$' if reply[1] == b'-' => None,
        b'$' => reply.get(end + 2..end + 2 + number(&reply[1..end])),
        b'_' => None,
        _ => Some(&reply[..end]),
    }
}

/// The elements of an array.
fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let Some(end) = reply.iter().position(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let mut rest = match reply[0] {
        b'*' => &reply[end + 1..],
        _ => &[],
    };
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let used = ReplyFramer::new(ReplyShape::Resp).feed(rest).used;
        elements.push(&rest[..used]);
        rest = &rest[used..];
    }
    elements
}
