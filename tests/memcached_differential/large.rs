//! Streams of values about as large as the largest item.

use super::large_streams::{LARGEST, large_stream};
use super::streams::{FORMS, goes_in_steps};
use super::support::{Kind, skipped_without};
use super::{Both, Stream, numbers};

/// Streams of each protocol.
const STREAMS: u64 = 60;

fn large_values_are_answered_alike(kind: Kind) {
    let Some(both) = Both::start_with(kind, LARGEST.0, &["-I", LARGEST.1]) else {
        skipped_without(kind, "streams of large values were not compared");
        return;
    };
    for number in numbers(STREAMS) {
        for form in FORMS {
            let steps = goes_in_steps(true, number);
            both.compare(&Stream { form, steps }, &large_stream(form, number), number);
        }
    }
}

#[test]
fn large_values_are_answered_as_memcached_answers_them() {
    large_values_are_answered_alike(Kind::Memcached);
}

#[test]
fn large_values_are_answered_as_the_newest_memcached_answers_them() {
    large_values_are_answered_alike(Kind::NewMemcached);
}
