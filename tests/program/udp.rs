//! `--udp`: its address, its warning, the settings that exclude it, and the end of the program.

use std::net::UdpSocket;

use super::run::{FREE, PATIENCE, Place};
use crate::tls_support::Authority;

const UDP: [&str; 2] = ["--udp", "127.0.0.1:0"];

/// Sends `mn` to this address, and reads its reply.
#[track_caller]
fn answers(address: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.connect(address).expect("an address");
    socket.send(b"\x12\x34\0\0\0\x01\0\0mn\r\n").expect("sent");
    let mut reply = [0; 100];
    let length = socket.recv(&mut reply).expect("a reply");
    assert_eq!(&reply[..length], b"\x12\x34\0\0\0\x01\0\0MN\r\n");
}

#[test]
fn it_serves_until_the_program_ends() {
    for model in ["turns", "threads"] {
        let place = Place::new();
        let mut larder = place.serve(&[&FREE[..], &UDP, &["--model", model]].concat(), 3);
        let address = larder.address("udp").to_owned();
        answers(&address);
        place.write("larder.toml", "[serve]\nmemory = \"16MiB\"\n");
        larder.signal("HUP");
        larder.logs("reloaded: memory = 16MiB");
        answers(&address);
        larder.signal("TERM");
        let printed = larder.printed();
        assert_eq!(printed.code, Some(0));
        assert!(!printed.err.contains("[WARN]"), "{}", printed.err);
        UdpSocket::bind(address).expect("the port is free again");
    }
}

#[test]
fn it_is_off_by_default_and_a_change_needs_a_restart() {
    let place = Place::new();
    let printed = place.run(&["config"]);
    assert!(printed.out.contains("\nudp = \"off\"\n"), "{}", printed.out);
    let mut larder = place.serve(&FREE, 2);
    place.write("larder.toml", "[serve]\nudp = \"127.0.0.1:0\"\n");
    larder.signal("HUP");
    larder.logs("[WARN] these settings changed too and need a restart: udp");
    drop(larder);
    answers(place.serve(&FREE, 3).address("udp"));
    answers(
        place
            .serve(&["--memcached", "off", "--resp", "off"], 1)
            .address("udp"),
    );
}

#[test]
fn other_machines_are_a_warning() {
    let place = Place::new();
    let everywhere = ["--udp", "0.0.0.0:0", "--protected-mode", "off"];
    let mut larder = place.serve(&[&FREE[..], &everywhere].concat(), 3);
    let port = larder.address("udp").strip_prefix("0.0.0.0:").expect("it");
    answers(&format!("127.0.0.1:{port}"));
    larder.logs("other machines can send datagrams with forged addresses");
}

#[test]
fn what_it_can_not_be_used_with_is_an_error() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let ca = authority.ca();
    let text = |path: &std::path::Path| path.display().to_string();
    let (cert, key, ca) = (text(&identity.cert), text(&identity.key), text(&ca));
    let place = Place::new();
    place.write("users", "alice:horse\n");
    for (arguments, error) in [
        (
            &["--auth-file", "users"][..],
            "--udp can't be used with --auth-file: a datagram can't prove who sent it; remove one of the two\n",
        ),
        (
            &[
                "--tls-cert",
                &cert,
                "--tls-key",
                &key,
                "--tls-client-ca",
                &ca,
            ],
            "--udp can't be used with --tls-client-ca: a datagram has no certificate; remove one of the two\n",
        ),
        (
            &["--udp", "/run/larder.sock"],
            "--udp /run/larder.sock: UDP has no path; write 127.0.0.1:11211, [::1]:11211, port 0 for a free port, or off\n",
        ),
    ] {
        let udp = if arguments[0] == "--udp" {
            &[][..]
        } else {
            &UDP
        };
        let printed = place.run(&[&FREE[..], udp, arguments].concat());
        assert_eq!(printed.err, format!("larder: {error}"));
        assert_eq!(printed.code, Some(1));
    }
}

#[test]
fn a_port_in_use_is_an_error_with_the_option() {
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let place = Place::new();
    let printed = place.run(&[&FREE[..], &["--udp", &address]].concat());
    assert_eq!(
        printed.err.lines().last(),
        Some(&*format!(
            "larder: can't listen on {address}: another process already does; choose another with --udp ADDR"
        ))
    );
}
