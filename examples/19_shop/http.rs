//! The web server: HTTP as one more protocol on larder's server core.
//!
//! ```text
//!   connection ──▶ session: a request ── queue ──▶ clerk thread: pages.rs ──▶ the answer
//!        ▲           │ Next::Wait                                               │
//!        └───────────┴────────────────────── wake ◀────────────────────────────┘
//! ```
//!
//! A request may wait for the database, so a worker of the server never executes it. The session gives it to a clerk, and its
//! connection is parked until the answer is there. The queue is bounded: beyond it a request gets 503 at once. Limits of
//! connections and idle time, and the orderly end, are the server's.

use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use larder::server::{
    Connections, Listen, Next, Peer, Refusal, Running, Server, Service, Session, Settings,
    StartError, Turn, Waiter,
};

use crate::pages::{self, Response};
use crate::request::{self, Parsed, Request};
use crate::shop::Shop;

/// Requests that are executed at a time.
const CLERKS: usize = 8;

/// Requests that wait for a clerk.
const QUEUE: usize = 256;

/// A browser keeps its connections open; after this time without a request they are closed.
const IDLE: Duration = Duration::from_secs(60);

/// A request on its way to a clerk, and the place for its answer.
struct Job {
    request: Request,
    answer: Arc<Answer>,
}

/// The answer to one request, and the wait of its connection.
#[derive(Default)]
struct Answer {
    response: Mutex<Option<Response>>,
    waiter: Arc<Waiter>,
}

impl Answer {
    fn give(&self, response: Response) {
        *self.response.lock().unwrap_or_else(PoisonError::into_inner) = Some(response);
        self.waiter.wake();
    }

    fn take(&self) -> Option<Response> {
        self.response
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// The threads that execute requests.
pub(crate) struct Clerks {
    queue: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl Clerks {
    /// Starts the threads.
    pub(crate) fn start(shop: Arc<Shop>) -> io::Result<Clerks> {
        let (queue, jobs) = bounded(QUEUE);
        let start = |number| {
            let (shop, jobs) = (Arc::clone(&shop), jobs.clone());
            let thread = thread::Builder::new().name(format!("clerk {number}"));
            thread.spawn(move || work(&shop, &jobs))
        };
        let threads = (1..=CLERKS).map(start).collect::<io::Result<_>>()?;
        Ok(Clerks { queue, threads })
    }

    /// Starts the server whose requests they execute.
    pub(crate) fn serve(&self, listen: &str) -> Result<Running, StartError> {
        let settings = Settings {
            idle_timeout: Some(IDLE),
            max_input: 2 * request::MOST,
            ..Settings::default()
        };
        let http = Http {
            queue: self.queue.clone(),
        };
        Server::new(Connections::new())
            .settings(settings)
            .listen(Listen::Tcp(listen.to_owned()), Arc::new(http))
            .start()
    }

    /// Waits until they have executed all requests. The server has ended.
    pub(crate) fn end(self) {
        drop(self.queue);
        for thread in self.threads {
            thread.join().expect("a panic of a request is caught");
        }
    }
}

fn work(shop: &Shop, jobs: &Receiver<Job>) {
    for Job { request, answer } in jobs {
        let executed = catch_unwind(AssertUnwindSafe(|| pages::answer(shop, &request)));
        answer.give(executed.unwrap_or_else(|_| Response::error(500)));
    }
}

struct Http {
    queue: Sender<Job>,
}

impl Service for Http {
    fn protocol(&self) -> &'static str {
        "http"
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(HttpSession {
            queue: self.queue.clone(),
            waiting: None,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        let mut refusal = Vec::new();
        Response::error(503).write(true, &mut refusal);
        refusal.into()
    }
}

struct HttpSession {
    queue: Sender<Job>,
    /// The answer that the connection waits for, and whether the connection ends with it.
    waiting: Option<(Arc<Answer>, bool)>,
}

// ANCHOR: turn
impl Session for HttpSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let turn = |consumed, next| Turn { consumed, next };
        if let Some((answer, closes)) = self.waiting.take() {
            let Some(response) = answer.take() else {
                self.waiting = Some((answer, closes));
                return turn(0, Next::Wait);
            };
            response.write(closes, output);
            return turn(0, if closes { Next::Close } else { Next::Again });
        }
        let (request, consumed) = match request::parse(input) {
            Parsed::Complete(request, length) => (request, length),
            Parsed::Incomplete => return turn(0, Next::Read),
            Parsed::Bad(status) => {
                Response::error(status).write(true, output);
                return turn(input.len(), Next::Close);
            }
        };
        let (answer, closes) = (Arc::<Answer>::default(), request.closes);
        let job = Job {
            request,
            answer: Arc::clone(&answer),
        };
        if self.queue.try_send(job).is_err() {
            answer.give(Response::error(503));
        }
        self.waiting = Some((answer, closes));
        turn(consumed, Next::Wait)
    }

    fn waiter(&mut self) -> Option<Arc<Waiter>> {
        let (answer, _) = self.waiting.as_ref()?;
        Some(Arc::clone(&answer.waiter))
    }
}
// ANCHOR_END: turn
