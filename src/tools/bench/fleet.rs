//! All threads of the load on one server: connects, shares a run among them, and merges their results.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, bounded};
use indicatif::ProgressBar;
use rlimit::Resource;

use super::measured::Measured;
use super::plan::Plan;
use super::process::own_processor_time;
use super::request_codec::RequestCodec;
use super::server::LoadedServer;
use super::worker::{Progress, RunEnd, Task, Worker};
use super::workload::{Pace, Workload};

/// The time between two updates of the progress.
const TICK: Duration = Duration::from_millis(100);

/// Requests in one write while a server is filled, and their bytes: every connection holds as much in memory.
const FILL_PIPELINE: usize = 32;
const FILL_BYTES: usize = 256 * 1024;

/// Descriptors beside the connections: pollers, timers, files.
const SPARE_DESCRIPTORS: u64 = 64;

/// The connections to one server, and the threads that use them.
pub(super) struct Fleet {
    server: LoadedServer,
    workers: Vec<Worker>,
    /// Runs so far; each has other keys.
    runs: u64,
}

impl Fleet {
    /// Opens the connections.
    ///
    /// # Errors A sentence for the person at the terminal.
    pub(super) fn connect(server: &LoadedServer, plan: &Plan) -> Result<Fleet, String> {
        let needed = plan.connections as u64 * 2 + SPARE_DESCRIPTORS;
        if Resource::NOFILE.get_soft().is_ok_and(|soft| soft < needed) {
            // If it can't be raised, opening the connections fails with an error.
            let _ = rlimit::increase_nofile_limit(needed);
        }
        let mut streams: Vec<Vec<_>> = (0..plan.threads).map(|_| Vec::new()).collect();
        for number in 0..plan.connections {
            let stream = server.open(plan.patience).map_err(|error| match number {
                0 => format!("no server answers at {server}: {error}"),
                _ => format!("{server}: can't open connection {}: {error}", number + 1),
            })?;
            streams[number % plan.threads].push(stream);
        }
        let workers = streams.into_iter().map(|streams| {
            let codec = RequestCodec::new(plan.dialect, Arc::clone(&plan.items));
            Worker::new(streams, server.clone(), codec, plan.patience)
        });
        let workers: Result<_, _> = workers.collect();
        Ok(Fleet {
            server: server.clone(),
            workers: workers.map_err(|error| format!("{server}: {error}"))?,
            runs: 0,
        })
    }

    /// Sets every key once.
    pub(super) fn fill(&mut self, plan: &Plan, bar: &ProgressBar) -> Result<Measured, String> {
        let threads = self.workers.len() as u64;
        let fit = FILL_BYTES / plan.items.largest_value().max(1);
        let tasks = (0..threads).map(|thread| Task {
            workload: Workload::Fill {
                next: plan.keys * thread / threads,
                end: plan.keys * (thread + 1) / threads,
            },
            pace: Pace::Closed,
            end: RunEnd::Requests(u64::MAX),
            pipeline: plan.pipeline.max(fit.clamp(1, FILL_PIPELINE)),
            reconnect: false,
        });
        self.run(tasks.collect(), bar)
    }

    /// Loads the server as planned, until `end`.
    pub(super) fn load(
        &mut self,
        plan: &Plan,
        end: RunEnd,
        bar: &ProgressBar,
    ) -> Result<Measured, String> {
        let threads = self.workers.len() as u64;
        let tasks = (0..threads).map(|thread| {
            let seed = plan.seed ^ (self.runs << 32) ^ (thread << 16);
            // Each thread has its part of one sequence, so that the number of sets is certain.
            let (first, end) = match end {
                RunEnd::Requests(all) => {
                    let first = all * thread / threads;
                    (
                        first,
                        RunEnd::Requests(all * (thread + 1) / threads - first),
                    )
                }
                after => (0, after),
            };
            Task {
                workload: Workload::mix(
                    plan.ratio,
                    plan.multi_get,
                    plan.choice.clone(),
                    seed,
                    first,
                ),
                pace: plan.pace(thread, threads),
                end,
                pipeline: plan.pipeline,
                reconnect: plan.reconnect,
            }
        });
        let tasks = tasks.collect();
        self.runs += 1;
        self.run(tasks, bar)
    }

    fn run(&mut self, tasks: Vec<Task>, bar: &ProgressBar) -> Result<Measured, String> {
        let progress = &Progress::default();
        let (done, finished) = bounded(tasks.len());
        let before = own_processor_time();
        let mut all = Measured::new();
        let mut failure = None;
        thread::scope(|scope| {
            for (worker, task) in self.workers.iter_mut().zip(tasks) {
                let done = done.clone();
                scope.spawn(move || {
                    let result = worker.run(task, progress);
                    if result.is_err() {
                        progress.failed.store(true, Relaxed);
                    }
                    // The receiver takes as many results as there are threads.
                    let _ = done.send(result);
                });
            }
            drop(done);
            // Only a terminal shows the progress, so otherwise no thread wakes for it.
            let tick = if bar.is_hidden() { Duration::MAX } else { TICK };
            loop {
                match finished.recv_timeout(tick) {
                    Ok(Ok(measured)) => {
                        all.add(&measured);
                        all.elapsed = all.elapsed.max(measured.elapsed);
                        all.threads += measured.threads;
                    }
                    Ok(Err(error)) => failure = failure.take().or(Some(error)),
                    Err(RecvTimeoutError::Timeout) => {
                        let answered = progress.answered.load(Relaxed);
                        bar.set_message(format!("{answered} requests"));
                        bar.tick();
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        });
        all.processor = own_processor_time().saturating_sub(before);
        match failure {
            Some(error) => Err(format!("{}: {error}", self.server)),
            None => Ok(all),
        }
    }
}
