//! Socket activation and readiness, as systemd does them: a socket that outlives larder, and a word when it is ready.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use super::run::{FREE, Larder, PATIENCE, Place, Talk};

/// larder with this socket as number 3, where systemd puts the first one.
#[track_caller]
pub(super) fn with_socket(place: &Place, socket: &impl CloneSocket, arguments: &[&str]) -> Larder {
    let larder = place.command(arguments);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"",
        ])
        .arg(larder.get_program())
        .args(larder.get_args())
        .current_dir(place.path("."))
        .env_remove("LARDER_PASSWORD")
        .stdin(Stdio::from(socket.clone_socket()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Larder::spawn(shell)
}

pub(super) trait CloneSocket {
    fn clone_socket(&self) -> OwnedFd;
}

impl CloneSocket for TcpListener {
    fn clone_socket(&self) -> OwnedFd {
        self.try_clone().expect("a descriptor").into()
    }
}

impl CloneSocket for UnixListener {
    fn clone_socket(&self) -> OwnedFd {
        self.try_clone().expect("a descriptor").into()
    }
}

impl CloneSocket for UdpSocket {
    fn clone_socket(&self) -> OwnedFd {
        self.try_clone().expect("a descriptor").into()
    }
}

#[test]
fn clients_that_connect_between_two_larders_wait_for_the_second() {
    for model in ["turns", "threads"] {
        let place = Place::new();
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound").to_string();
        let arguments = ["--memcached", &address, "--resp", "off", "--model", model];
        for _ in 0..3 {
            // It connects before there is a larder, and is served by the next.
            let mut early = Talk::tcp(&address);
            early.say("mn\r\n");
            let larder = with_socket(&place, &socket, &arguments).ready(1);
            assert_eq!(larder.address("memcached"), address);
            early.hear("MN\r\n");
            larder.memcached().ask("mn\r\n", "MN\r\n");
            larder.signal("TERM");
            assert_eq!(larder.printed().code, Some(0));
        }
    }
}

#[test]
fn a_passed_unix_socket_keeps_its_file() {
    let place = Place::new();
    let path = place.path("larder.sock");
    let socket = UnixListener::bind(&path).expect("a path");
    let name = path.to_str().expect("text");
    let arguments = ["--memcached", "off", "--resp", name];
    for _ in 0..2 {
        let larder = with_socket(&place, &socket, &arguments).ready(1);
        Talk::unix(&path).ask("PING\r\n", "+PONG\r\n");
        larder.signal("TERM");
        assert_eq!(larder.printed().code, Some(0));
        assert!(path.exists());
    }
}

#[test]
fn the_admin_listener_takes_a_passed_socket() {
    let place = Place::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound").to_string();
    // It connects before there is a larder.
    let mut early = Talk::tcp(&address);
    early.say(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let larder = with_socket(
        &place,
        &socket,
        &[&FREE[..], &["--admin", &address]].concat(),
    );
    let larder = larder.ready(3);
    assert_eq!(larder.address("admin"), address);
    assert!(early.rest().ends_with("\r\n\r\nok\n"));
}

#[test]
fn a_socket_that_no_listener_takes_is_an_error() {
    let place = Place::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    let printed = with_socket(&place, &socket, &[&FREE[..], &["-q"]].concat()).printed();
    let error = format!(
        "larder: systemd has passed a socket for {address}, and no listener has this address; change one of the two\n"
    );
    assert_eq!(
        (printed.code, printed.out, printed.err),
        (Some(1), String::new(), error)
    );
}

#[test]
fn systemd_is_told_when_it_serves() {
    let place = Place::new();
    let path = place.path("notify");
    let systemd = UnixDatagram::bind(&path).expect("a path");
    systemd.set_read_timeout(Some(PATIENCE)).expect("not zero");
    let mut command = place.command(&FREE);
    command.env("NOTIFY_SOCKET", &path);
    let larder = Larder::spawn(command);
    let mut message = [0; 100];
    let length = systemd.recv(&mut message).expect("a message");
    assert_eq!(&message[..length], b"READY=1\n");
    let larder = larder.ready(2);
    larder.memcached().ask("mn\r\n", "MN\r\n");
}

#[test]
fn a_socket_of_another_kind_is_an_error() {
    let place = Place::new();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let printed = with_socket(&place, &socket, &FREE).printed();
    let error = "larder: systemd has passed a socket that is neither TCP nor a Unix stream, and larder opens UDP itself: ";
    assert_eq!((printed.code, printed.out), (Some(1), String::new()));
    assert!(printed.err.starts_with(error), "{}", printed.err);
}
