//! Streams of values about as large as the largest item of the server behind.

use super::large_streams::{LARGEST, large_stream};
use super::streams::{FORMS, goes_in_steps};
use super::support::{Kind, skipped_without};
use super::{Both, How, numbers};

/// Streams of each protocol.
const STREAMS: u64 = 60;

#[test]
fn large_values_are_answered_as_by_the_server_behind() {
    let Some(both) = Both::with_memcached(&["-I", LARGEST.1]) else {
        skipped_without(
            Kind::Memcached,
            "streams of large values were not compared through the proxy",
        );
        return;
    };
    for number in numbers(STREAMS) {
        for form in FORMS {
            let how = How {
                form,
                valid: true,
                steps: goes_in_steps(true, number),
            };
            both.compare(how, large_stream(form, number), number);
        }
    }
}
