//! Items that expire by the real clock.
//!
//! First each stream stores its items. Then some seconds pass, for all streams together. Then each stream reads its items.

use super::expiry_streams::{PASSING, forms, preparation, readings};
use super::settle::settled;
use super::support::{Kind, skipped_without};
use super::{Both, Ending, numbers};

/// Streams of the text and meta protocols.
const STREAMS: u64 = 200;

fn items_expire_alike(kind: Kind) {
    let Some(both) = Both::start(kind) else {
        skipped_without(kind, "items that expire were not compared");
        return;
    };
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
