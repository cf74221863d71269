//! TERM, INT and QUIT end it gracefully, a second one at once.

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::run::{FREE, Larder, Place, Talk, until};

/// A larder with a client in the middle of a `set`, of which larder has read the sent part.
#[track_caller]
fn in_the_middle(place: &Place, model: &str) -> (Larder, Talk<TcpStream>) {
    let larder = place.serve(&[&FREE[..], &["--model", model]].concat(), 2);
    let (mut slow, mut other) = (larder.memcached(), larder.memcached());
    let before = other.stat("bytes_read");
    slow.say("set k 0 0 10\r\nhalf ");
    until("what was sent is read", || {
        // Its own questions count as well: 7 bytes each, so never the same sum by chance.
        let asked = other.stat("bytes_read") - before;
        asked % 7 == 19 % 7 && asked >= 19
    });
    (larder, slow)
}

#[test]
fn with_until_stdin_ends_it_ends_with_the_program_that_started_it() {
    let place = Place::new();
    let mut command = place.command(&[&FREE[..], &["--until-stdin-ends"]].concat());
    // It holds the other end of the pipe, until it is killed.
    let mut parent = Command::new("sleep")
        .arg("600")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is everywhere");
    command.stdin(parent.stdout.take().expect("piped"));
    let larder = Larder::spawn(command).ready(2);
    larder.memcached().ask("mn\r\n", "MN\r\n");
    parent.kill().expect("it runs");
    parent.wait().expect("it was killed");
    let printed = larder.printed();
    assert_eq!(printed.code, Some(0), "{}", printed.err);
    assert!(
        printed.err.contains("standard input has ended"),
        "{}",
        printed.err
    );
}

#[test]
fn a_client_in_the_middle_of_a_command_gets_its_answer() {
    let place = Place::new();
    for (signal, model) in [("TERM", "turns"), ("INT", "threads"), ("QUIT", "turns")] {
        let (mut larder, mut slow) = in_the_middle(&place, model);
        let address = larder.address("memcached").to_owned();
        let mut idle = larder.resp();
        larder.signal(signal);
        larder.logs("ending: answering requests in flight");
        idle.closed();
        until("no new client is accepted", || {
            TcpStream::connect(&address).is_err()
        });
        slow.ask("done!\r\n", "STORED\r\n");
        slow.closed();
        assert_eq!(larder.ended().code(), Some(0), "{signal}");
        // The port is free for the next.
        drop(TcpListener::bind(&address).expect("it can be bound"));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = Place::new();
    for (first, second) in [("TERM", "TERM"), ("INT", "QUIT")] {
        let (mut larder, mut slow) = in_the_middle(&place, "turns");
        larder.signal(first);
        larder.logs("ending: answering requests in flight");
        larder.signal(second);
        larder.logs("ending immediately");
        assert_eq!(larder.ended().code(), Some(0), "{first} {second}");
        slow.closed();
    }
}
