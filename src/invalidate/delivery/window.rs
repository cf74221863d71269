//! The changes that are being delivered: a window of requests at a time.
//!
//! Invariant: changes are done from the front. If a change has to become a delete, the changes behind it count as done
//! only after it.

use crate::invalidate::delivery::request_kind::{DeliveryRequest, ReplyMeaning};
use crate::invalidate::message::Now;
use crate::invalidate::settings::{Target, WINDOW, WINDOW_BYTES};
use crate::invalidate::spool::PendingChange;
use crate::upstream::Exchange;

/// Changes that are being delivered.
#[derive(Debug, Default)]
pub(super) struct ChangeWindow {
    changes: Vec<PendingChange>,
    /// The number of changes at the start that are done.
    done: usize,
    /// The end of the requests under way.
    end: usize,
    /// Those of them that have to be deleted instead.
    instead: Vec<usize>,
}

impl ChangeWindow {
    pub(super) fn new(changes: Vec<PendingChange>) -> ChangeWindow {
        ChangeWindow {
            changes,
            ..ChangeWindow::default()
        }
    }

    /// Appends the next requests, when all earlier ones are answered. Returns whether there are
    /// any.
    pub(super) fn go_on(
        &mut self,
        target: &Target,
        now: Now,
        exchange: &mut Exchange<DeliveryRequest>,
    ) -> bool {
        if !self.instead.is_empty() {
            self.delete_instead(target, exchange);
            return true;
        }
        self.done = self.end;
        let mut request = Vec::new();
        let unix_ms = (now.unix / 1000) as i64;
        for change in self.changes[self.done..].iter().take(WINDOW) {
            request.clear();
            let shape = target.forget_request(change, unix_ms, &mut request);
            exchange.request(&request, shape, DeliveryRequest::Change(self.end));
            self.end += 1;
            if exchange.output().len() >= WINDOW_BYTES {
                break;
            }
        }
        self.end > self.done
    }

    /// Deletes the keys whose requests the upstream could not execute. With the replies to these deletes all
    /// requests are done.
    fn delete_instead(&mut self, target: &Target, exchange: &mut Exchange<DeliveryRequest>) {
        let mut request = Vec::new();
        for number in self.instead.drain(..) {
            request.clear();
            let shape = target.delete_request(&self.changes[number].key, &mut request);
            exchange.request(&request, shape, DeliveryRequest::Delete);
        }
    }

    /// Takes the reply to a request. Returns whether it fits the request.
    pub(super) fn take_reply(
        &mut self,
        target: &Target,
        asked: DeliveryRequest,
        reply: &[u8],
    ) -> bool {
        let change = match asked {
            DeliveryRequest::Change(number) => self.changes.get(number),
            _ => None,
        };
        match (target.meaning(asked, change, reply), asked) {
            (ReplyMeaning::Unexpected, _) => return false,
            (ReplyMeaning::Done, DeliveryRequest::Change(_)) if self.instead.is_empty() => {
                self.done += 1
            }
            (ReplyMeaning::Delete, DeliveryRequest::Change(number)) => self.instead.push(number),
            _ => {}
        }
        true
    }

    /// Ends at any point. Returns the changes that are done, and the others; `None` if there were
    /// none.
    pub(super) fn end(&mut self) -> Option<(Vec<PendingChange>, Vec<PendingChange>)> {
        let mut window = std::mem::take(self);
        let rest = window.changes.split_off(window.done);
        let is_empty = window.changes.is_empty() && rest.is_empty();
        (!is_empty).then_some((window.changes, rest))
    }
}
