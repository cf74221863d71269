//! The latencies in the server: from the bytes of a request to its reply, without the network.

use crate::service::memcached::Memcached;
use crate::service::resp::RespFigures;

use super::exposition::{HistogramFigures, Kind, Metrics};

/// Upper bounds in nanoseconds.
pub(super) const BOUNDS: [u64; 18] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
];

/// Writes the latencies of each protocol, and of each command of RESP.
pub(super) fn write(metrics: &mut Metrics, memcached: &Memcached, resp: &RespFigures) {
    let help = "Time in the server from the bytes of a command to its reply; of memcached's protocols a sample: the first of \
                each 16 turns of a connection.";
    let name = "larder_request_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    let sampled = memcached.latencies(&BOUNDS);
    let figures = HistogramFigures::of_nanoseconds(
        &BOUNDS,
        &sampled.within,
        sampled.commands,
        sampled.seconds,
    );
    family.histogram(&[("protocol", "memcached")], &figures);
    let mut within = [0; BOUNDS.len()];
    for command in &resp.commands {
        for (all, of_command) in within.iter_mut().zip(&command.within) {
            *all += of_command;
        }
    }
    let seconds = resp.commands.iter().map(|of| of.seconds).sum();
    let timed = resp.commands.iter().map(|of| of.timed).sum();
    let figures = HistogramFigures::of_nanoseconds(&BOUNDS, &within, timed, seconds);
    family.histogram(&[("protocol", "resp")], &figures);

    let help = "Time in the server from the bytes of a command of RESP to its reply.";
    let name = "larder_command_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    for of in &resp.commands {
        let figures = HistogramFigures::of_nanoseconds(&BOUNDS, &of.within, of.timed, of.seconds);
        family.histogram(&[("command", of.name)], &figures);
    }
}
