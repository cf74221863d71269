//! Streams of items that expire by the real clock. Each follows from a number.
//!
//! An item either expires within one second, and is gone after [`PASSING`], or lasts for longer than any test. memcached's clock
//! ticks once a second, so nothing is read in between.

use std::time::Duration;

use fastrand::Rng;

use super::streams::{FORMS, Form};

/// The wait. It is longer than an exptime of one second, even by a clock that is a second late.
pub(crate) const PASSING: Duration = Duration::from_millis(3200);

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// The requests before the wait.
pub(crate) fn preparation(form: Form, number: u64) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(number);
    let mut requests = Vec::new();
    for name in KEYS {
        let key = format!("{name}{form:?}passing{number}");
        for _ in 0..random.usize(0..3) {
            requests.push(request(form, &key, "1000000", &mut random));
        }
        // The last exptime of an item is the valid one.
        let exptime = random
            .choice(["1", "1", "0", "1000000", "-1"])
            .unwrap_or_default();
        requests.push(request(form, &key, exptime, &mut random));
    }
    requests
}

/// One of the requests that set an item's exptime.
fn request(form: Form, key: &str, exptime: &str, random: &mut Rng) -> Vec<u8> {
    let line = match (form, random.u8(0..4)) {
        (Form::Meta, 0) => format!("mg {key} T{exptime}"),
        (Form::Meta, 1) => format!("mg {key} N{exptime}"),
        (Form::Meta, 2) => format!("md {key} I T{exptime}"),
        (Form::Meta, _) => format!("ms {key} 1 T{exptime}\r\nx"),
        (_, 0) => format!("touch {key} {exptime}"),
        (_, 1) => format!("gat {exptime} {key}"),
        (_, 2) => format!("add {key} 0 {exptime} 1\r\ny"),
        _ => format!("set {key} 0 {exptime} 1\r\nx"),
    };
    format!("{line}\r\n").into()
}

/// The requests behind the wait.
pub(crate) fn readings(form: Form, number: u64) -> Vec<Vec<u8>> {
    let reading = |name: &&str| {
        let key = format!("{name}{form:?}passing{number}");
        match form {
            Form::Meta => format!("mg {key} v k\r\nms {key} 1 ME\r\nz\r\n").into(),
            _ => format!("get {key}\r\nadd {key} 0 0 1\r\nz\r\n").into(),
        }
    };
    KEYS.iter().map(reading).collect()
}

/// The forms with such streams.
pub(crate) fn forms() -> impl Iterator<Item = Form> {
    FORMS.into_iter().filter(|form| *form != Form::Binary)
}
