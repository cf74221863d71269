//! A request to a peer, and the commands that wait for its answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fetch::Countdown;
use super::peer_request::PeerReply;

/// The end of a request to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The peer's reply.
    Reply(PeerReply),
    /// No peer owns the key now: this node does, and the command runs here.
    Mine,
    /// There is none; the client gets this line of memcached's, the peer's own if it has answered one.
    Failed(String),
}

/// A request that is on its way.
#[derive(Debug, Default)]
pub(crate) struct Exchange(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    answer: Option<Answer>,
    waiting: Vec<Arc<Countdown>>,
}

impl Exchange {
    /// One that has ended already.
    pub(crate) fn ended(answer: Answer) -> Arc<Exchange> {
        let exchange = Exchange::default();
        exchange.lock().answer = Some(answer);
        Arc::new(exchange)
    }

    /// The answer; without one, the command waits for it.
    pub(crate) fn answer_or_wait(&self, waiting: &Arc<Countdown>) -> Option<Answer> {
        let mut state = self.lock();
        if state.answer.is_none() {
            waiting.add();
            state.waiting.push(Arc::clone(waiting));
        }
        state.answer.clone()
    }

    /// Ends it, and wakes the commands that waited for nothing else.
    pub(crate) fn end(&self, answer: Answer) {
        let mut state = self.lock();
        state.answer = Some(answer);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for countdown in waiting {
            countdown.count();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_waits_until_the_answer_is_there() {
        let exchange = Exchange::default();
        let countdown = Countdown::new();
        assert_eq!(exchange.answer_or_wait(&countdown), None);
        countdown.count();
        assert!(!countdown.waiter.is_woken());
        exchange.end(Answer::Mine);
        assert!(countdown.waiter.is_woken());
        let next = Countdown::new();
        assert_eq!(exchange.answer_or_wait(&next), Some(Answer::Mine));
        next.count();
        assert!(next.waiter.is_woken(), "it waits for nothing");
    }
}
