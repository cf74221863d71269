//! A client of the simulation: a script of requests, and a single server's answer to each.
//!
//! A client is the only one that uses its keys, so its own requests decide the values that it reads ([`PossibleValues`]).

use std::collections::{BTreeSet, VecDeque};

use fastrand::Rng;

use crate::pool::Protocol;
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::protocol::resp;
use crate::proxy::simulation::binary;
use crate::proxy::simulation::replies::{elements, number, value};
use crate::proxy::simulation::script::{Circumstances, DatabaseKey, Expected, Step, Writer};
use crate::proxy::simulation::values::PossibleValues;

type Bytes = Vec<u8>;

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    steps: VecDeque<Step>,
    pub(crate) due: VecDeque<(ReplyShape, Expected)>,
    input: Bytes,
    values: PossibleValues,
    /// The channels that it is subscribed to, from a confirmation to that of the end.
    channels: BTreeSet<Bytes>,
    /// Messages that have to come before it has left their channels, and those channels.
    messages: BTreeSet<(Bytes, Bytes)>,
    /// It has been subscribed to something.
    pub(crate) has_been_subscribed: bool,
    circumstances: Circumstances,
    /// The list that it waits for when it disconnects.
    pub(crate) blocked: Option<Bytes>,
    pub(crate) answers: usize,
}

impl Client {
    /// The client of this number, with a script of its own.
    pub(crate) fn new(
        rng: &mut Rng,
        number: usize,
        protocol: Protocol,
        circumstances: Circumstances,
    ) -> Client {
        let mut writer = Writer::new(number, circumstances);
        let is_binary = protocol == Protocol::Memcached && rng.bool();
        for _ in 0..rng.usize(5..25) {
            match protocol {
                Protocol::Memcached if is_binary => writer.binary(rng),
                Protocol::Memcached => writer.memcached(rng),
                Protocol::Resp => writer.resp(rng),
            }
            if rng.u8(..4) == 0 {
                writer.steps.push_back(Step::Settle);
            }
        }
        Client::with_script(writer.steps, circumstances)
    }

    fn with_script(steps: VecDeque<Step>, circumstances: Circumstances) -> Client {
        Client {
            steps,
            due: VecDeque::new(),
            input: Vec::new(),
            values: PossibleValues::new(circumstances),
            channels: BTreeSet::new(),
            messages: BTreeSet::new(),
            has_been_subscribed: false,
            circumstances,
            blocked: None,
            answers: 0,
        }
    }

    /// A client that waits for an element of a list of its own, and disconnects before there is
    /// one.
    pub(crate) fn that_leaves(number: usize) -> Client {
        let list = format!("left:{number}").into_bytes();
        let request = resp::request(&[b"BLPOP", &list, b"0"]);
        let steps = VecDeque::from([Step::Ask(request, Vec::new())]);
        let client = Client::with_script(steps, Circumstances::default());
        Client {
            blocked: Some(list),
            ..client
        }
    }

    /// A client that writes to all servers of a pool, and accepts no error.
    pub(crate) fn that_writes(protocol: Protocol) -> Client {
        let steps = (0..32).map(|number: u8| {
            let key = format!("w:{number}");
            let (request, shape, reply): (_, _, &[u8]) = match protocol {
                Protocol::Memcached => {
                    let request = format!("set {key} 0 0 1\r\nx\r\n").into_bytes();
                    (request, ReplyShape::Line, b"STORED\r\n")
                }
                Protocol::Resp => {
                    let request = resp::request(&[b"SET", key.as_bytes(), b"x"]);
                    (request, ReplyShape::Resp, b"+OK\r\n")
                }
            };
            Step::Ask(request, vec![(shape, Expected::Exactly(reply))])
        });
        Client::with_script(steps.collect(), Circumstances::default())
    }

    /// A client that reads the elements that it has pushed to a list.
    pub(crate) fn that_pushes(list: &[u8]) -> Client {
        let one = |words: &[&[u8]]| {
            let due = (ReplyShape::Resp, Expected::Exactly(b":1\r\n"));
            Step::Ask(resp::request(words), vec![due])
        };
        let steps = [one(&[b"RPUSH", list, b"x"]), one(&[b"LLEN", list])];
        Client::with_script(steps.into(), Circumstances::default())
    }

    /// Whether errors of servers are answers, too.
    fn is_lenient(&self) -> bool {
        self.circumstances.cluster || self.circumstances.faulty
    }

    /// Whether its connection may end.
    pub(crate) fn is_fragile(&self) -> bool {
        self.circumstances.faulty || self.blocked.is_some()
    }

    /// The bytes it sends next, if any.
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

    /// Its connection has ended: it sends no more requests.
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
            if self.input.starts_with(MESSAGE) {
                match self.take_message()? {
                    true => continue,
                    false => return Ok(()),
                }
            }
            if self.due.is_empty() && MESSAGE.starts_with(&self.input) {
                return Ok(());
            }
            let Some((shape, expected)) = self.due.front().cloned() else {
                return Err(format!("not asked for: {}", self.input.escape_ascii()));
            };
            if let Expected::Quiet(usual) = &expected {
                match binary::answers(&self.input, shape) {
                    None => return Ok(()),
                    Some(true) => {}
                    Some(false) => {
                        self.due.pop_front();
                        self.take_silence(usual)?;
                        continue;
                    }
                }
            }
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
            if let Expected::Confirmed(_, channel, false) = &expected
                && let Some(lost) = self.lost_message(channel)
            {
                let (lost, channel) = (lost.escape_ascii(), channel.escape_ascii());
                return Err(format!("has lost {lost} of {channel}"));
            }
            if !self.check(&reply, &expected) {
                let reply = reply.escape_ascii();
                return Err(format!("answered {reply} where {expected:?} is due"));
            }
        }
        Ok(())
    }

    /// Takes the silence that stands for this reply.
    fn take_silence(&mut self, usual: &Expected) -> Result<(), String> {
        let fits = match usual {
            Expected::Value(place) => self.check_value(place, None),
            Expected::Changed(bytes, _) => self.check(bytes, usual),
            _ => false,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("answered nothing where {usual:?} is due")),
        }
    }

    /// Takes a message of a channel, if it is complete.
    fn take_message(&mut self) -> Result<bool, String> {
        let progress = ReplyFramer::new(ReplyShape::Resp).feed(&self.input);
        if progress.state != FrameState::Done {
            return Ok(false);
        }
        let message: Bytes = self.input.drain(..progress.used).collect();
        let words: Vec<&[u8]> = elements(&message).into_iter().filter_map(value).collect();
        match words[..] {
            [_, channel, text] if self.channels.contains(channel) => {
                self.messages.remove(&(channel.to_vec(), text.to_vec()));
                Ok(true)
            }
            _ => Err(format!("not subscribed to: {}", message.escape_ascii())),
        }
    }

    /// A server has published a message: the client is to get it, if it is subscribed and does not leave.
    ///
    /// A message may be lost if its server leaves the list, or if its slots move.
    pub(crate) fn await_message(&mut self, channel: &[u8], message: &[u8]) {
        let leaves = self
            .due
            .iter()
            .any(|(_, due)| matches!(due, Expected::Confirmed(_, name, false) if name == channel));
        let may_lose = self.circumstances.cluster || self.circumstances.wanders;
        if self.channels.contains(channel) && !leaves && !may_lose {
            self.messages.insert((channel.to_vec(), message.to_vec()));
        }
    }

    /// A message that had to come before the client has left this channel, and did not.
    fn lost_message(&self, channel: &[u8]) -> Option<&Bytes> {
        let mut lost = self.messages.iter().filter(|(name, _)| name == channel);
        lost.next().map(|(_, message)| message)
    }

    fn check(&mut self, reply: &[u8], expected: &Expected) -> bool {
        let of_failures: [&[u8]; 4] = [
            b"-ERR upstream",
            b"SERVER_ERROR upstream",
            b"-EXECABORT",
            b"-TRYAGAIN",
        ];
        // A transaction's keys may have gone to another server than the one that it has begun at.
        let of_changes: [&[u8]; 2] = [b"-CROSSSLOT", b"-EXECABORT"];
        let is_one = |errors: &[&[u8]]| errors.iter().any(|start| reply.starts_with(start));
        if self.is_lenient() && (is_one(&of_failures) || binary::is_failure(reply))
            || self.circumstances.wanders && is_one(&of_changes)
        {
            self.values.doubt(expected);
            return true;
        }
        match expected {
            Expected::Exactly(bytes) => reply == *bytes,
            Expected::OneOf(replies) => replies.contains(&reply),
            Expected::Confirmed(bytes, channel, is_subscribed) => {
                self.has_been_subscribed = true;
                match is_subscribed {
                    true => self.channels.insert(channel.clone()),
                    false => self.channels.remove(channel),
                };
                reply == bytes
            }
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
                    self.values.written(place, value, &self.due);
                }
                match bytes.is_empty() {
                    // Their number is not known.
                    true => reply.starts_with(b":"),
                    false => reply == bytes,
                }
            }
            Expected::Quiet(one) => self.check(reply, one),
            // A key that is watched has changed, which only its move to another server does.
            Expected::Executed(_) if self.is_lenient() && reply == b"*-1\r\n" => true,
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

    fn check_value(&mut self, place: &DatabaseKey, value: Option<&[u8]>) -> bool {
        self.values.is_found(place, value, &self.due)
    }

    /// The blocks of memcached's `get`.
    fn check_blocks(&mut self, places: &[DatabaseKey], mut reply: &[u8]) -> bool {
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

/// The start of a message to a subscriber.
const MESSAGE: &[u8] = b"*3\r\n$7\r\nmessage\r\n";
