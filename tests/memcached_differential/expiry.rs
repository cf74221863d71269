//! Items that expire while real seconds pass.
//!
//! Every stream prepares its keys; then three seconds pass for all streams together; then each reads what is left. An item
//! either expires within one second, and is gone on both servers, or lasts for longer than any test. memcached's clock
//! ticks once a second, so nothing is read in between.

use std::time::Duration;

use fastrand::Rng;

use super::settle::settled;
use super::streams::{FORMS, Form};
use super::support::{Kind, skipped_without};
use super::{Both, Ending, numbers};

/// Streams of the text and meta protocols.
const STREAMS: u64 = 200;

/// More than a second's exptime takes, also by a clock that is a second late.
const PASSING: Duration = Duration::from_millis(3200);

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// The requests before the wait.
fn preparation(form: Form, number: u64) -> Vec<Vec<u8>> {
    let mut random = Rng::with_seed(number);
    let mut requests = Vec::new();
    for name in KEYS {
        let key = format!("{name}{form:?}passing{number}");
        for _ in 0..random.usize(0..3) {
            requests.push(request(form, &key, "1000000", &mut random));
        }
        // The last one decides.
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
fn readings(form: Form, number: u64) -> Vec<Vec<u8>> {
    let reading = |name: &&str| {
        let key = format!("{name}{form:?}passing{number}");
        match form {
            Form::Meta => format!("mg {key} v k\r\nms {key} 1 ME\r\nz\r\n").into(),
            _ => format!("get {key}\r\nadd {key} 0 0 1\r\nz\r\n").into(),
        }
    };
    KEYS.iter().map(reading).collect()
}

fn items_expire_alike(kind: Kind) {
    let Some(both) = Both::start(kind) else {
        skipped_without(kind, "items that expire were not compared");
        return;
    };
    let forms = || FORMS.into_iter().filter(|form| *form != Form::Binary);
    let streams = || numbers(STREAMS).flat_map(|number| forms().map(move |form| (form, number)));
    for (form, number) in streams() {
        let requests = preparation(form, number);
        let end = Ending::of(form);
        both.ask_larder(&requests, Some(&end));
        both.ask_memcached(&requests, Some(&end));
    }
    std::thread::sleep(PASSING);
    for (form, number) in streams() {
        let requests = readings(form, number);
        let ours = settled(form, &both.ask_larder(&requests, None));
        let theirs = settled(form, &both.ask_memcached(&requests, None));
        let prepared = preparation(form, number).concat();
        assert!(
            ours == theirs,
            "{form:?} stream {number}:\n{}\nlarder:\n{ours}\nmemcached:\n{theirs}",
            prepared.escape_ascii()
        );
    }
}

#[test]
fn items_expire_as_in_memcached() {
    items_expire_alike(Kind::Memcached);
}

#[test]
fn items_expire_as_in_the_newest_memcached() {
    items_expire_alike(Kind::NewMemcached);
}
