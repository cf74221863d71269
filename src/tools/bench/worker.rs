//! One thread of the load: many connections, one poller.
//!
//! ```text
//!   Workload, Pace ──▶ push ──▶ Connection ──one write──▶ socket
//!                                   ▲                       │
//!   Measured ◀── each reply ────────┴────────one read───────┘
//! ```
//!
//! In a closed loop a connection sends `pipeline` requests in one write, and the next ones when all of them are answered.
//! In an open loop requests are due by the clock: each goes to the connection that has been free for longest, and waits
//! while none is. With `reconnect`, a connection whose requests are answered is closed, and the next ones go over a new one.
//! The rules of requests and replies are in [`request_codec`](super::request_codec) and [`connection`](super::connection).

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::connection::Request;
use super::measured::Measured;
use super::request_codec::RequestCodec;
use super::server::LoadedServer;
use super::socket::Socket;
use super::timer::Timer;
use super::workload::{Pace, Workload};
use crate::server::{Received, Stream};

/// Bytes read at once.
const READ_BUFFER: usize = 64 * 1024;

/// The longest wait for events: after it a thread checks whether another one has failed.
const LOOK: Duration = Duration::from_millis(100);

/// The token of the timer; connections have those from 0.
const TIMER: Token = Token(usize::MAX);

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RunEnd {
    /// After this many requests.
    Requests(u64),
    /// No request is sent later than this.
    After(Duration),
}

/// The state that the threads of a run share.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Requests answered so far.
    pub(super) answered: AtomicU64,
    /// A thread has failed, so the others end.
    pub(super) failed: AtomicBool,
}

/// One run of a worker.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) workload: Workload,
    pub(super) pace: Pace,
    pub(super) end: RunEnd,
    pub(super) pipeline: usize,
    /// Each request, or each packet of them, has a connection of its own. Only in a closed loop.
    pub(super) reconnect: bool,
}

/// A thread's sockets. They stay open from run to run.
pub(super) struct Worker {
    poll: Poll,
    timer: Timer,
    sockets: Vec<Socket>,
    server: LoadedServer,
    codec: RequestCodec,
    /// The longest wait for a connection or a reply.
    patience: Duration,
    buffer: Vec<u8>,
}

impl Worker {
    /// Takes connected sockets.
    pub(super) fn new(
        streams: Vec<Stream>,
        server: LoadedServer,
        codec: RequestCodec,
        patience: Duration,
    ) -> io::Result<Worker> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let register = |(number, stream)| {
            Socket::register(stream, codec.dialect(), poll.registry(), Token(number))
        };
        let sockets = streams.into_iter().enumerate().map(register);
        let sockets: io::Result<_> = sockets.collect();
        Ok(Worker {
            sockets: sockets?,
            poll,
            timer,
            server,
            codec,
            patience,
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Runs a task to its end.
    ///
    /// # Errors
    /// A sentence for the person at the terminal: a connection is lost, or the server doesn't answer.
    pub(super) fn run(&mut self, task: Task, progress: &Progress) -> Result<Measured, String> {
        let mut events = Events::with_capacity(1024);
        let mut run = WorkerRun::new(self, task);
        run.begin()?;
        while !run.is_over() && !progress.failed.load(Relaxed) {
            let before = run.measured.requests();
            run.wait(&mut events)?;
            for event in &events {
                if let Token(number) = event.token()
                    && number != TIMER.0
                {
                    let ends = event.is_read_closed() || event.is_error();
                    run.socket_event(
                        number,
                        event.is_readable() || ends,
                        event.is_writable(),
                        ends,
                    )?;
                }
            }
            run.send_due()?;
            let answered = run.measured.requests() - before;
            progress.answered.fetch_add(answered, Relaxed);
        }
        Ok(run.finish())
    }
}

/// A worker at work.
struct WorkerRun<'w> {
    worker: &'w mut Worker,
    task: Task,
    measured: Measured,
    began: Instant,
    /// Requests that were taken from the workload.
    asked: u64,
    unanswered: usize,
    /// In an open loop: a connection for each request that may be sent now, and since when.
    free: VecDeque<(usize, u64)>,
    /// The run's end has come: nothing more is sent.
    ending: bool,
    /// The time at which the last reply came, or the first unanswered request was sent.
    quiet_since: u64,
    /// The items of the request at hand.
    items: Vec<u64>,
}

impl<'w> WorkerRun<'w> {
    fn new(worker: &'w mut Worker, task: Task) -> WorkerRun<'w> {
        WorkerRun {
            worker,
            task,
            measured: Measured::new(),
            began: Instant::now(),
            asked: 0,
            unanswered: 0,
            free: VecDeque::new(),
            ending: false,
            quiet_since: 0,
            items: Vec::new(),
        }
    }

    /// Nanoseconds of the run so far.
    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    fn begin(&mut self) -> Result<(), String> {
        let sockets = self.worker.sockets.len();
        if self.task.pace == Pace::Closed {
            return (0..sockets).try_for_each(|number| self.send_next(number));
        }
        for _ in 0..self.task.pipeline {
            self.free.extend((0..sockets).map(|number| (number, 0)));
        }
        self.send_due()
    }

    fn is_over(&self) -> bool {
        let all_sent = matches!(self.task.end, RunEnd::Requests(count) if self.asked >= count);
        (self.ending || all_sent) && self.unanswered == 0
    }

    /// Waits for events, or for the time of the next request.
    fn wait(&mut self, events: &mut Events) -> Result<(), String> {
        let now = self.now();
        let quiet = now.saturating_sub(self.quiet_since);
        if self.unanswered > 0 && quiet > nanos(self.worker.patience) {
            return Err(format!(
                "no reply for {:?}, and {} requests have none",
                self.worker.patience, self.unanswered
            ));
        }
        let mut timeout = LOOK;
        if !self.ending
            && !self.free.is_empty()
            && let Some(due) = self.task.pace.due(self.asked)
        {
            let until = Duration::from_nanos(due.saturating_sub(now));
            timeout = timeout.min(self.worker.timer.wake_in(until));
        }
        match self.worker.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(format!("can't wait for replies: {error}"));
            }
            _ => {}
        }
        self.measured.waiting += Duration::from_nanos(self.now() - now);
        Ok(())
    }

    fn socket_event(
        &mut self,
        number: usize,
        readable: bool,
        writable: bool,
        ends: bool,
    ) -> Result<(), String> {
        if writable {
            self.worker.sockets[number].writable = true;
        }
        if writable || self.worker.sockets[number].is_handshaking() {
            self.flush(number)?;
        }
        if readable {
            self.read(number, ends)?;
        }
        Ok(())
    }

    /// Reads the received bytes, counts the replies, and sends the next requests on the connection.
    fn read(&mut self, number: usize, ends: bool) -> Result<(), String> {
        let before = self.unanswered;
        loop {
            let worker = &mut *self.worker;
            let socket = &mut worker.sockets[number];
            let Some(Received { count, more }) = socket.read(&mut worker.buffer)? else {
                break;
            };
            let now = nanos(self.began.elapsed());
            self.quiet_since = now;
            let (codec, measured) = (&mut worker.codec, &mut self.measured);
            let unanswered = &mut self.unanswered;
            measured.received += count as u64;
            socket
                .connection
                .receive(&worker.buffer[..count], |request, items, reply| {
                    *unanswered -= 1;
                    codec.answered(&request, items, reply, now, measured);
                })?;
            if !more && !ends {
                break;
            }
        }
        if self.task.pace == Pace::Closed {
            if self.worker.sockets[number].connection.unanswered() == 0 {
                self.send_next(number)?;
            }
        } else {
            let since = self.quiet_since;
            let freed = (self.unanswered..before).map(|_| (number, since));
            self.free.extend(freed);
        }
        Ok(())
    }

    /// In a closed loop: the next requests of a connection, in one write. They are due before a new connection is opened,
    /// so that its opening is a part of their latency.
    fn send_next(&mut self, number: usize) -> Result<(), String> {
        let now = self.now();
        if self.task.reconnect && !self.is_over_at(now) {
            let worker = &mut *self.worker;
            let (patience, dialect) = (worker.patience, worker.codec.dialect());
            worker.sockets[number].reopen(
                &worker.server,
                patience,
                dialect,
                worker.poll.registry(),
                Token(number),
            )?;
        }
        for _ in 0..self.task.pipeline {
            if !self.push(number, now, now) {
                break;
            }
        }
        self.flush(number)
    }

    /// In an open loop: the requests that are due.
    fn send_due(&mut self) -> Result<(), String> {
        let now = self.now();
        while let Some(due) = self.task.pace.due(self.asked)
            && due <= now
            && let Some((number, since)) = self.free.pop_front()
        {
            if !self.push(number, due, now) {
                return Ok(());
            }
            self.measured.sent_late(now - due.max(since).min(now));
            self.flush(number)?;
        }
        if let RunEnd::After(span) = self.task.end {
            self.ending |= self.task.pace != Pace::Closed && now >= nanos(span);
        }
        Ok(())
    }

    /// Whether no further request is sent that is due at this time.
    fn is_over_at(&self, due: u64) -> bool {
        self.ending
            || match self.task.end {
                RunEnd::Requests(count) => self.asked >= count,
                RunEnd::After(span) => due >= nanos(span),
            }
    }

    /// Takes the next request from the workload; false at the end of the run.
    fn push(&mut self, number: usize, due: u64, now: u64) -> bool {
        let next = match self.is_over_at(due) {
            true => None,
            false => self.task.workload.next(&mut self.items),
        };
        let Some(action) = next else {
            self.ending = true;
            return false;
        };
        self.asked += 1;
        if self.unanswered == 0 {
            self.quiet_since = now;
        }
        self.unanswered += 1;
        let request = Request {
            action,
            due,
            sent: now,
        };
        let worker = &mut *self.worker;
        let connection = &mut worker.sockets[number].connection;
        worker.codec.ask(connection, request, &self.items);
        true
    }

    fn flush(&mut self, number: usize) -> Result<(), String> {
        self.measured.sent += self.worker.sockets[number].flush()?;
        Ok(())
    }

    fn finish(mut self) -> Measured {
        self.measured.elapsed = self.began.elapsed();
        self.measured.threads = 1;
        if let (RunEnd::After(span), Pace::Open { interval, offset }) =
            (self.task.end, self.task.pace)
        {
            let due = ((nanos(span) as f64 - offset) / interval).ceil().max(0.0);
            self.measured.unsent = (due as u64).saturating_sub(self.asked);
        }
        self.measured
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
