//! The figures of `stats` by the proxy: a stream changes them as it does on a bare server.

use larder::proxy::Protocol;
use larder::tools::transcript::readable;

use super::both::memcached_replies;
use super::figures::{DETERMINED, Figures, figures, growth};
use super::streams::{FORMS, Form, goes_in_steps, stream};
use super::{Both, How, numbers};

/// Streams of each form of memcached's protocols.
const STREAMS: u64 = 150;

impl Both {
    fn figures(&self) -> [Figures; 2] {
        let how = How {
            form: Form::Text,
            valid: true,
            steps: false,
        };
        let stats = [b"stats\r\n".to_vec()];
        self.clients()
            .map(|client| figures(&memcached_replies(client, how, &stats)))
    }
}

#[test]
fn streams_are_counted_as_by_the_server_behind() {
    let both = Both::start(Protocol::Memcached);
    for number in numbers(STREAMS) {
        for form in FORMS {
            let requests = stream(form, true, number);
            let steps = goes_in_steps(true, number);
            let how = How {
                form,
                valid: true,
                steps,
            };
            let before = both.figures();
            for client in both.clients() {
                memcached_replies(client, how, &requests);
            }
            let after = both.figures();
            let [proxied, bare] = [0, 1].map(|at| {
                let mut growth = growth(&before[at], &after[at]);
                // The proxy asks each server once, by an mg that misses, whether it has the meta commands.
                growth.retain(|name, _| !["cmd_get", "get_misses"].contains(name));
                growth
            });
            // A version of memcached may not have all of them.
            assert!(bare.len() + 5 >= DETERMINED.len(), "{bare:?}");
            assert_eq!(
                proxied,
                bare,
                "{form:?} stream {number}: {}",
                readable(&requests.concat())
            );
        }
    }
}
