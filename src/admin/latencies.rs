//! The latencies of requests within the server: from their bytes to their replies, without the network.

use crate::service::{memcached, resp};

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

/// Writes the latencies of all commands together, and of each command.
pub(super) fn write(
    metrics: &mut Metrics,
    of_memcached: &[memcached::CommandFigures],
    of_resp: &[resp::CommandFigures],
) {
    let memcached = of_memcached.iter().map(|of| {
        let figures = HistogramFigures::of_nanoseconds(&BOUNDS, &of.within, of.timed, of.seconds);
        (of.protocol, of.name, figures)
    });
    let memcached: Vec<OfCommand> = memcached.collect();
    let resp = of_resp.iter().map(|of| {
        let figures = HistogramFigures::of_nanoseconds(&BOUNDS, &of.within, of.timed, of.seconds);
        ("resp", of.name, figures)
    });
    let resp: Vec<OfCommand> = resp.collect();
    let help = "Time in the server from the bytes of a command to its reply, without the network, in seconds. Of memcached's \
                protocols a sample: the commands of one in 16 turns of each connection.";
    let name = "larder_request_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    family.histogram(&[("protocol", "memcached")], &sum(&memcached));
    family.histogram(&[("protocol", "resp")], &sum(&resp));

    let help = "The same time by command, in seconds; a command appears with its first call.";
    let name = "larder_command_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    for (protocol, command, figures) in memcached.iter().chain(&resp) {
        family.histogram(&[("protocol", protocol), ("command", command)], figures);
    }
}

/// The protocol, the name and the latencies of a command.
type OfCommand = (&'static str, &'static str, HistogramFigures);

/// The latencies of several commands together.
fn sum(all: &[OfCommand]) -> HistogramFigures {
    let mut sum = HistogramFigures::of_nanoseconds(&BOUNDS, &[0; BOUNDS.len()], 0, 0.0);
    for (_, _, one) in all {
        for ((_, within), (_, added)) in sum.buckets.iter_mut().zip(&one.buckets) {
            *within += added;
        }
        sum.count += one.count;
        sum.sum += one.sum;
    }
    sum
}
