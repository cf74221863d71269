//! The worker's side of an interceptor: requests are offered to it before they are routed, and its later answers are
//! delivered to the clients. If there is no room for a request, its client waits, like one whose connection is full.

use crate::protocol::framing::request::{LargeRequest, Request, Route};
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark, queue};
use crate::proxy::intercept::{Intercepted, LaterAnswer, RequestId};

impl Forwarder {
    /// The id of the next request of a client.
    fn request_id(&self, key: usize) -> RequestId {
        let client = &self.clients[key];
        RequestId {
            client: (key, client.id),
            sequence: client.next_sequence(),
        }
    }

    /// Offers a request to the interceptor. `None` if the request is forwarded as without one.
    pub(super) fn intercept(
        &mut self,
        key: usize,
        request: &Request<'_>,
    ) -> Option<RequestOutcome> {
        self.interception.as_ref()?;
        let request_id = self.request_id(key);
        let database = self.clients[key].session.state.database;
        let interception = self.interception.as_mut()?;
        match interception
            .interceptor
            .request(request, database, request_id)
        {
            // Later requests on a dedicated connection would bypass the interceptor.
            Intercepted::Forward if matches!(request.route, Route::Dedicated(..)) => {
                Some(self.refuse(key, request.shape))
            }
            Intercepted::Forward => None,
            taken => Some(self.intercepted(key, taken)),
        }
    }

    /// Offers a request over the limit, of which the rest is dropped if the interceptor takes it.
    pub(super) fn offer_large(&mut self, key: usize, large: &LargeRequest<'_>) -> Intercepted {
        if self.interception.is_none() {
            return Intercepted::Forward;
        }
        let request_id = self.request_id(key);
        match &mut self.interception {
            Some(interception) => interception.interceptor.large(large, request_id),
            None => Intercepted::Forward,
        }
    }

    /// Carries out the interceptor's decision about a request.
    pub(super) fn intercepted(&mut self, key: usize, taken: Intercepted) -> RequestOutcome {
        match taken {
            Intercepted::Answered(bytes) => self.answer(key, bytes),
            Intercepted::Silent | Intercepted::Forward => RequestOutcome::Taken,
            Intercepted::Later => {
                self.clients[key].open(1, None);
                RequestOutcome::Taken
            }
            Intercepted::Full => {
                if let Some(interception) = &mut self.interception {
                    interception.stalled.push(key);
                }
                RequestOutcome::Stalled
            }
        }
    }

    /// Ends the interceptor's round, and gives another turn to clients that wait for room.
    pub(crate) fn end_interception(&mut self) {
        let Some(interception) = &mut self.interception else {
            return;
        };
        if interception.interceptor.end_round() {
            for key in std::mem::take(&mut interception.stalled) {
                if let Some(client) = self.clients.get_mut(key) {
                    queue(&mut self.ready, key, client);
                }
            }
        }
    }

    /// Gives clients the answers that have come later.
    pub(crate) fn answer_intercepted(&mut self) {
        let Some(interception) = &self.interception else {
            return;
        };
        while let Ok(answers) = interception.answers.try_recv() {
            for LaterAnswer { request_id, bytes } in answers {
                let (key, id) = request_id.client;
                if let Some(client) = self.clients.get_mut(key).filter(|c| c.id == id) {
                    if errors::is_error(&bytes) {
                        self.shared.requests.error(ErrorSource::Proxy);
                    }
                    client.deliver(request_id.sequence, 0, &bytes, true);
                    mark(&mut self.dirty_clients, key, &mut client.dirty);
                }
            }
        }
    }
}
