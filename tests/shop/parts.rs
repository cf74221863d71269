//! The process tree: one command starts it, and nothing of it outlives the command.

use std::net::TcpListener;

use nix::sys::signal::Signal;

use super::running::{RunningShop, command, has_ended, signal, until};

fn parts(shop: &RunningShop) -> [u32; 2] {
    ["serve", "invalidate"].map(|role| shop.part(role).unwrap_or_else(|| panic!("no {role}")))
}

#[test]
fn a_signal_ends_the_shop_and_its_parts() {
    for with in [Signal::SIGTERM, Signal::SIGINT] {
        let mut shop = RunningShop::start(&[]);
        let parts = parts(&shop);
        assert!(!parts.iter().any(|&part| has_ended(part)));
        assert_eq!(shop.end(with).code(), Some(0), "{with}");
        // The shop has waited for them.
        assert!(parts.iter().all(|&part| has_ended(part)), "{with}");
    }
}

#[test]
fn the_parts_end_when_the_shop_is_killed() {
    let mut shop = RunningShop::start(&[]);
    let parts = parts(&shop);
    shop.end(Signal::SIGKILL);
    until("the parts end", || {
        parts.iter().all(|&part| has_ended(part))
    });
}

#[test]
fn a_killed_cache_is_started_again_and_reads_go_on_meanwhile() {
    let shop = RunningShop::start(&[]);
    let price = shop.product(4)["product"]["price"].clone();
    let [cache, _] = parts(&shop);
    signal(cache, Signal::SIGKILL);
    until("the cache is back and has been filled", || {
        let read = shop.product(4);
        assert_eq!(read["product"]["price"], price);
        read["source"] == "cache" && shop.part("serve").is_some_and(|part| part != cache)
    });
    shop.logs("starting it again");
}

#[test]
fn changes_wait_in_the_outbox_while_larder_invalidate_does_not_answer() {
    let shop = RunningShop::start(&[]);
    shop.product(6);
    let [_, invalidate] = parts(&shop);
    signal(invalidate, Signal::SIGSTOP);
    let changed = shop.post("/products/6", "price=66").json();
    assert_eq!(changed["invalidation"], "waits in the outbox");
    assert_eq!(shop.live()["outbox"], 1);
    // Nobody has deleted it: the old price is in the cache until the report arrives.
    assert_ne!(shop.product(6)["product"]["price"], 6600);
    signal(invalidate, Signal::SIGCONT);
    shop.reports_all();
    until("the new price is read", || {
        shop.product(6)["product"]["price"] == 6600
    });
}

#[test]
fn a_report_survives_the_end_of_the_shop() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let arguments = [
        "--data",
        directory.path().to_str().expect("a name in UTF-8"),
    ];
    let mut shop = RunningShop::start(&arguments);
    let [_, invalidate] = parts(&shop);
    signal(invalidate, Signal::SIGSTOP);
    shop.post("/products/6", "price=66");
    shop.end(Signal::SIGKILL);
    signal(invalidate, Signal::SIGCONT);
    until("the old part ends", || has_ended(invalidate));
    let shop = RunningShop::start(&arguments);
    shop.reports_all();
}

#[test]
fn an_address_in_use_is_an_error_that_leaves_no_part_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = command(&["--listen", &address])
        .output()
        .expect("the shop is built");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(&address), "{error}");
}
