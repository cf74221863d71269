//! Random streams of requests to the proxy and to a bare server: a client must not see whether the proxy is there.
//!
//! ```text
//!   number ──▶ stream ─┬▶ proxy ──▶ a real server ─┐
//!                      └▶ another real server ─────┴▶ the replies, settled ──▶ equal, or the smallest stream that isn't
//! ```
//!
//! Also with values about as large as the largest item, with items that expire while time passes, and with the figures of
//! `stats`. The streams are those of `memcached_differential` and `resp_against_redis`. `LARDER_STREAMS` is the number of streams of each
//! protocol, `LARDER_SEED` the number of the only one.

mod both;
#[path = "../resp_against_redis/commands.rs"]
#[allow(dead_code, reason = "the other test uses the rest")]
mod commands;
mod declared;
mod expiry;
#[path = "../memcached_differential/expiry_streams.rs"]
mod expiry_streams;
#[path = "../memcached_differential/figures.rs"]
mod figures;
mod large;
#[path = "../memcached_differential/large_streams.rs"]
mod large_streams;
#[path = "../resp_against_redis/passing.rs"]
mod passing;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../resp_against_redis/replies.rs"]
mod replies;
mod resp;
#[path = "../memcached_differential/settle.rs"]
mod settle;
mod statistics;
#[path = "../memcached_differential/streams.rs"]
mod streams;
#[path = "../support/mod.rs"]
mod support;

use both::{Both, How};
use larder::proxy::Protocol;
use streams::{FORMS, Form, goes_in_steps, stream};

/// Streams of each form of memcached's protocols, valid and nearly valid.
const STREAMS: u64 = 500;

fn numbers(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("LARDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_STREAMS").unwrap_or(count),
    }
}

fn compare(both: &Both, form: Form, valid: bool, number: u64) {
    let steps = goes_in_steps(valid, number);
    let how = How { form, valid, steps };
    both.compare(how, stream(form, valid, number), number);
}

#[test]
fn streams_of_memcached_are_answered_as_by_the_server_behind() {
    let both = Both::start(Protocol::Memcached);
    for number in numbers(STREAMS) {
        for form in FORMS {
            compare(&both, form, true, number);
        }
    }
}

#[test]
fn nearly_valid_streams_of_memcached_are_answered_as_by_the_server_behind() {
    let both = Both::with_larder();
    for number in numbers(STREAMS) {
        for form in FORMS {
            compare(&both, form, false, number);
        }
    }
}
