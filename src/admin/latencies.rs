//! The latencies in the server: from the bytes of a request to its reply, without the network.

use crate::service::memcached::CountedCommandFigures;
use crate::service::resp::CommandFigures;

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
    memcached: &[CountedCommandFigures],
    resp: &[CommandFigures],
) {
    let of_memcached: Vec<_> = memcached.iter().map(figures_of_counted).collect();
    let of_resp: Vec<_> = resp.iter().map(figures_of_resp).collect();
    let help = "Time in the server from the bytes of a command to its reply, without the network, in seconds. Of memcached's \
                protocols a sample: the commands of one in 16 turns of each connection.";
    let name = "larder_request_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    family.histogram(&[("protocol", "memcached")], &sum(&of_memcached));
    family.histogram(&[("protocol", "resp")], &sum(&of_resp));

    let help = "The same time by command, in seconds; a command appears with its first call.";
    let name = "larder_command_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    for (command, figures) in memcached.iter().zip(&of_memcached) {
        let labels = [("protocol", command.protocol), ("command", command.name)];
        family.histogram(&labels, figures);
    }
    for (command, figures) in resp.iter().zip(&of_resp) {
        let labels = [("protocol", "resp"), ("command", command.name)];
        family.histogram(&labels, figures);
    }
}

fn figures_of_counted(of: &CountedCommandFigures) -> HistogramFigures {
    HistogramFigures::of_nanoseconds(&BOUNDS, &of.within, of.timed, of.seconds)
}

fn figures_of_resp(of: &CommandFigures) -> HistogramFigures {
    HistogramFigures::of_nanoseconds(&BOUNDS, &of.within, of.timed, of.seconds)
}

/// The histogram of several together.
fn sum(all: &[HistogramFigures]) -> HistogramFigures {
    let mut sum = HistogramFigures::of_nanoseconds(&BOUNDS, &[0; BOUNDS.len()], 0, 0.0);
    for one in all {
        for ((_, within), (_, added)) in sum.buckets.iter_mut().zip(&one.buckets) {
            *within += added;
        }
        sum.count += one.count;
        sum.sum += one.sum;
    }
    sum
}
