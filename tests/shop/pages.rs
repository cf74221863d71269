//! The page, and the figures behind it.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use larder::tools::transcript::{
    Address, Outcome, RealTime, Remote, Run, Side, TranscriptDelivery, parse,
};
use serde_json::json;

use super::running::{PATIENCE, RunningShop, until};

/// The conversation with which the chapter before the shop's ends.
#[test]
fn the_shop_holds_the_conversation_that_earlier_programs_fail() {
    let shop = RunningShop::start(&[]);
    let file = "tests/transcripts/stages/shop_page.txt";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    let transcript =
        parse("shop_page", file, &text.expect("it can be read")).expect("a transcript");
    for delivery in [
        TranscriptDelivery::AsWritten,
        TranscriptDelivery::ByteByByte,
    ] {
        let time = RealTime {
            at_most: Duration::ZERO,
        };
        let target = Remote::new(Address::parse(shop.address()), &time, PATIENCE);
        let run = Run {
            transcript: &transcript,
            side: Side::Larder,
            delivery,
            patience: PATIENCE,
        };
        if let Outcome::Failed(difference) = run.against(&target) {
            panic!("{difference}");
        }
    }
}

#[test]
fn the_page_and_its_files_are_served_and_allow_no_other_script() {
    let shop = RunningShop::start(&[]);
    for (path, kind, part) in [
        (
            "/",
            "text/html; charset=utf-8",
            "<script src=\"/shop.js\" defer></script>",
        ),
        ("/shop.css", "text/css", "--cache:"),
        ("/shop.js", "text/javascript", "use strict"),
    ] {
        let answer = shop.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(part), "{path}: {}", answer.body);
        assert!(
            answer.head.contains(&format!("Content-Type: {kind}\r\n")),
            "{}",
            answer.head
        );
        assert!(
            answer
                .head
                .contains("Content-Security-Policy: default-src 'self'"),
            "{}",
            answer.head
        );
    }
}

#[test]
fn a_value_is_read_from_the_database_once_and_then_from_the_cache() {
    let shop = RunningShop::start(&[]);
    let first = shop.product(17);
    assert_eq!(first["source"], "read-through");
    assert_eq!(first["product"]["name"], "Raspberry jam");
    let second = shop.product(17);
    assert_eq!(second["source"], "cache");
    assert_eq!(second["product"], first["product"]);
    let live = shop.live();
    assert_eq!(live["larder"]["fetches"], 1, "{live}");
    let counted = [
        &live["cache"],
        &live["read_through"],
        &live["database"],
        &live["reads"],
    ];
    assert_eq!(counted, [1, 1, 0, 2]);
    assert_eq!(live["last"][1][0], 17);
    assert_eq!(live["last"][1][1], "cache");
    assert_eq!(
        shop.get("/live?after=1").json()["last"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        shop.get("/live?after=x").json()["last"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(shop.get("/live?after=99").json()["last"], json!([]));
}

#[test]
fn the_cache_is_switched_off_and_on() {
    let shop = RunningShop::start(&["--cache", "off"]);
    let fresh = shop.product(2);
    assert_eq!(fresh["source"], "database");
    assert_eq!(shop.product(2)["source"], "database");
    assert_eq!(shop.live()["cache_is_on"], false);
    assert_eq!(shop.post("/cache", "state=on").json()["cache_is_on"], true);
    assert_eq!(shop.product(2)["source"], "read-through");
    let cached = shop.product(2);
    assert_eq!(cached["source"], "cache");
    assert_eq!(cached["product"]["together"], fresh["product"]["together"]);
    assert_eq!(
        shop.post("/cache", "state=off").json()["cache_is_on"],
        false
    );
    assert_eq!(shop.product(2)["source"], "database");
}

#[test]
fn many_readers_of_a_cold_product_cause_one_fetch() {
    let shop = RunningShop::start(&[]);
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let source = shop.product(1)["source"].clone();
                assert!(source == "read-through" || source == "cache", "{source}");
            });
        }
    });
    let live = shop.live();
    assert_eq!(live["larder"]["fetches"], 1, "{live}");
    assert_eq!(live["reads"], 24);
}

#[test]
fn a_changed_price_replaces_the_cached_one() {
    let shop = RunningShop::start(&[]);
    let old = shop.product(5);
    assert_eq!(shop.product(5)["source"], "cache");
    let changed = shop.post("/products/5", "price=12.5").json();
    assert_eq!(
        changed,
        json!({"price": 1250, "name": null, "invalidation": "recorded"})
    );
    until("the new price is read", || {
        shop.product(5)["product"]["price"] == 1250
    });
    assert_ne!(old["product"]["price"], 1250);
    until("the new price is cached", || {
        shop.product(5)["source"] == "cache"
    });
    assert_eq!(shop.product(5)["product"]["price"], 1250);
}

#[test]
fn the_database_is_kept_in_a_directory() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let data = directory.path().join("data");
    let arguments = ["--data", data.to_str().expect("a name in UTF-8")];
    let mut shop = RunningShop::start(&arguments);
    assert_eq!(shop.post("/products/7", "price=77").status, 200);
    assert!(shop.end(nix::sys::signal::Signal::SIGTERM).success());
    let shop = RunningShop::start(&arguments);
    assert_eq!(shop.product(7)["product"]["price"], 7700);
}
