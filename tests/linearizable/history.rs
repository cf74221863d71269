//! A history of operations, and whether one order explains it.

use std::collections::HashSet;

use super::commands::Command;
use super::model::State;

/// A command that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) client: usize,
    pub(crate) command: Command,
    pub(crate) reply: String,
    /// When it was sent, and when its reply had come: numbers of one counter.
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}

/// Whether the model answers the events as they were answered, in some order in which no event comes before one that was
/// answered before it was sent. The search is that of Wing and Gong: it goes on from every set of events and state once.
pub(crate) fn is_linearizable(events: &[Event]) -> bool {
    assert!(events.len() <= 64, "the events are bits of a number");
    let all = u64::MAX >> (64 - events.len());
    let mut known = HashSet::new();
    let mut waiting = vec![(0, State::default())];
    while let Some((done, state)) = waiting.pop() {
        if done == all {
            return true;
        }
        let open = || (0..events.len()).filter(|event| done >> event & 1 == 0);
        let first_answer = open().map(|event| events[event].answered).min();
        for event in open() {
            let Event {
                client,
                command,
                reply,
                sent,
                ..
            } = &events[event];
            if Some(*sent) > first_answer {
                continue;
            }
            let mut next = state.clone();
            if next.step(*client, command, reply) {
                let next = (done | 1 << event, next);
                if known.insert(next.clone()) {
                    waiting.push(next);
                }
            }
        }
    }
    false
}

/// The events in a form for people.
pub(crate) fn shown(events: &[Event]) -> String {
    let line = |event: &Event| {
        let Event {
            client,
            command,
            reply,
            sent,
            answered,
        } = event;
        let (request, reply) = (command.request(), reply.as_bytes().escape_ascii());
        let request = request.as_bytes().escape_ascii();
        format!("  {sent:>3}..{answered:<3} client {client}: {request} -> {reply}\n")
    };
    events.iter().map(line).collect()
}
