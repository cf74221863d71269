//! Items that expire while real seconds pass.
//!
//! Every stream prepares its keys; then some seconds pass for all streams together; then each reads what is left.

use larder::proxy::Protocol;
use larder::tools::transcript::readable;

use super::expiry_streams::{PASSING, forms, preparation, readings};
use super::{Both, How, numbers};

/// Streams of the text and meta protocols.
const STREAMS: u64 = 200;

#[test]
fn items_expire_as_on_the_server_behind() {
    let both = Both::start(Protocol::Memcached);
    let streams = || {
        let how = |form| How {
            form,
            valid: true,
            steps: false,
        };
        numbers(STREAMS).flat_map(move |number| forms().map(move |form| (how(form), number)))
    };
    for (how, number) in streams() {
        both.compare(how, preparation(how.form, number), number);
    }
    std::thread::sleep(PASSING);
    for (how, number) in streams() {
        if let Some([proxied, bare]) = both.difference(how, &readings(how.form, number)) {
            let prepared = preparation(how.form, number).concat();
            panic!(
                "{:?} stream {number}:\n{}\nproxy:\n{proxied}\nbare:\n{bare}",
                how.form,
                readable(&prepared)
            );
        }
    }
}
