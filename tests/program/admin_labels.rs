//! `/metrics` has no label that clients choose: requests with names of their own add no sample.

use std::collections::BTreeSet;

use super::admin::{ADMIN, check, get, samples};
use super::run::{FREE, Larder, Place, Talk};

/// Requests with names that no server has, different ones for each number.
fn of_memcached(number: u32) -> Vec<String> {
    let long = "n".repeat(200);
    vec![
        format!("unknown{number}\r\n"),
        format!("{long}{number} a b\r\n"),
        format!("watch topic{number}\r\n"),
        format!("stats section{number}\r\n"),
        format!("set {long}{long}{number} 0 0 1\r\nx\r\n"),
    ]
}

fn of_resp(number: u32) -> Vec<String> {
    let long = "n".repeat(200);
    vec![
        format!("unknown{number} a\r\n"),
        format!("{long}{number}\r\n"),
        format!("CLIENT unknown{number}\r\n"),
        format!("CONFIG SET unknown{number} a\r\n"),
        format!("OBJECT unknown{number} a\r\n"),
        format!("HELLO {}00\r\n", number + 1),
    ]
}

/// Sends requests and waits until all are answered, whatever the answers are.
fn send(mut talk: Talk<std::net::TcpStream>, requests: &[String], last: &str) {
    talk.say(requests.concat() + last);
    talk.rest();
}

fn load(larder: &Larder, numbers: std::ops::Range<u32>) {
    for number in numbers {
        for (protocol, requests, last) in [
            ("memcached", of_memcached(number), "quit\r\n"),
            ("resp", of_resp(number), "QUIT\r\n"),
        ] {
            let of_it = format!("{protocol} ");
            if larder.listening.iter().any(|line| line.contains(&of_it)) {
                send(Talk::tcp(larder.address(protocol)), &requests, last);
            }
        }
    }
}

fn names(larder: &Larder) -> BTreeSet<String> {
    let page = get(larder, "/metrics");
    check(&page);
    samples(&page).into_keys().collect()
}

#[test]
fn requests_with_names_of_their_own_add_no_sample() {
    let place = Place::new();
    let serve = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let proxy = |protocol: &str| {
        let arguments = ["proxy", "--protocol", protocol, "--listen", "127.0.0.1:0"];
        let upstream = ["--upstream", serve.address(protocol)];
        place.serve(&[&arguments[..], &upstream, &ADMIN].concat(), 2)
    };
    let proxies = [proxy("memcached"), proxy("resp")];
    place.write(
        "servers.txt",
        &format!("{} 1\n", serve.address("memcached")),
    );
    let arguments = [
        "invalidate",
        "--servers",
        "servers.txt",
        "--listen",
        "127.0.0.1:0",
    ];
    let resp = ["--resp", "127.0.0.1:0", "--reads", "forward"];
    let invalidate = place.serve(&[&arguments[..], &resp, &ADMIN].concat(), 3);
    for larder in proxies.iter().chain([&invalidate, &serve]) {
        load(larder, 0..1);
        let before = names(larder);
        load(larder, 1..30);
        let added: Vec<String> = names(larder).difference(&before).cloned().collect();
        assert!(added.is_empty(), "{added:?}");
        let chosen = before.iter().find(|name| name.contains("unknown"));
        assert_eq!(chosen, None);
    }
}
