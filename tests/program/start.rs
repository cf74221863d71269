//! The start: its listeners, and its errors.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::run::{FREE, Larder, PATIENCE, Place, Talk, until};

#[test]
fn both_protocols_answer_where_the_lines_say_and_share_one_store() {
    let place = Place::new();
    let larder = place.serve(&FREE, 2);
    for line in &larder.listening {
        assert!(!line.ends_with(":0"), "{line} names the port taken");
    }
    larder.memcached().ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    larder.resp().ask("GET k\r\n", "$1\r\nv\r\n");
}

#[test]
fn larder_serves_without_a_subcommand() {
    let place = Place::new();
    let larder = place.serve(&[&["serve"], &FREE[..]].concat(), 2);
    larder.resp().ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn echo_sends_back_every_line() {
    let place = Place::new();
    let mut larder = place.serve(&["echo", "--listen", "127.0.0.1:0"], 1);
    Talk::tcp(larder.address("echo")).ask("hello\n", "hello\n");
    larder.signal("TERM");
    assert_eq!(larder.ended().code(), Some(0));
}

#[test]
fn a_listener_that_is_off_is_not_opened() {
    let place = Place::new();
    let mut larder = place.serve(&["--memcached", "off", "--resp", "127.0.0.1:0"], 1);
    larder.logs("serving with");
    larder.signal("TERM");
    let printed = larder.printed();
    assert_eq!((printed.code, printed.out.as_str()), (Some(0), ""));

    let printed = place.run(&["--memcached", "off", "--resp", "off"]);
    assert_eq!(printed.code, Some(1));
    assert_eq!(
        printed.err,
        "larder: nothing to listen on: --memcached and --resp are off, and there is no --unix and no --udp\n"
    );
}

#[test]
fn an_address_in_use_is_named_with_its_option() {
    let place = Place::new();
    let occupied = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = occupied.local_addr().expect("it is bound").to_string();
    for (arguments, option) in [
        (
            &["--memcached", &address, "--resp", "127.0.0.1:0"][..],
            "--memcached",
        ),
        (
            &["--memcached", "127.0.0.1:0", "--resp", &address],
            "--resp",
        ),
        (&["echo", "--listen", &address], "--listen"),
    ] {
        let printed = place.run(arguments);
        assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
        let expected = format!(
            "larder: can't listen on {address}: another process already does; \
             choose another with {option} ADDR\n"
        );
        assert!(printed.err.ends_with(&expected), "{printed:?}");
    }
}

#[test]
fn more_connections_than_the_system_has_files_for_are_refused_at_the_start() {
    let place = Place::new();
    let printed = place.run(&[&FREE[..], &["--max-connections", "4294967295"]].concat());
    assert_eq!((printed.code, printed.out.as_str()), (Some(1), ""));
    let start = "larder: 4294967295 connections need ";
    assert!(printed.err.starts_with(start), "{}", printed.err);
    let end = "; the option is --max-connections N\n";
    assert!(printed.err.ends_with(end), "{}", printed.err);
}

#[test]
fn unix_sockets_speak_both_protocols_and_go_with_the_server() {
    let place = Place::new();
    let mut arguments = vec!["--memcached", "off", "--resp", "./resp.sock"];
    arguments.extend(["--unix", "./memcached.sock"]);
    let mut larder = place.serve(&arguments, 2);
    assert_eq!(larder.address("resp"), "./resp.sock");
    assert_eq!(larder.address("unix"), "./memcached.sock");
    let (memcached, resp) = (place.path("memcached.sock"), place.path("resp.sock"));
    Talk::unix(&memcached).ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    Talk::unix(&resp).ask("GET k\r\n", "$1\r\nv\r\n");
    let mode = fs::metadata(&memcached).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o077, 0, "no other user may use it");

    let printed = place.run(&["--memcached", "off", "--resp", "./resp.sock"]);
    assert_eq!(printed.code, Some(1));
    assert!(printed.err.contains("--resp ADDR"), "{printed:?}");
    Talk::unix(&resp).ask("PING\r\n", "+PONG\r\n");

    larder.signal("TERM");
    assert_eq!(larder.ended().code(), Some(0));
    assert!(!memcached.exists() && !resp.exists());
}

#[test]
fn a_socket_file_that_was_left_behind_is_no_obstacle() {
    let place = Place::new();
    drop(UnixListener::bind(place.path("left.sock")).expect("it can be made"));
    assert!(place.path("left.sock").exists());
    let arguments = ["--memcached", "off", "--resp", "./left.sock"];
    let _larder = place.serve(&arguments, 1);
    Talk::unix(&place.path("left.sock")).ask("PING\r\n", "+PONG\r\n");
}

#[test]
fn nested_keys_can_be_switched_off() {
    let place = Place::new();
    let line = "set user name 0 0 3\r\nAda\r\n";
    let on = place.serve(&FREE, 2);
    on.memcached().ask(line, "NOT_STORED\r\n");
    let off = place.serve(&[&FREE[..], &["--nested", "off"]].concat(), 2);
    off.memcached().ask(
        line,
        "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n",
    );
}

#[test]
fn flush_all_and_watch_can_be_refused() {
    let place = Place::new();
    let options = ["--flush-all", "off", "--watch", "off"];
    let larder = place.serve(&[&FREE[..], &options].concat(), 2);
    larder.memcached().ask(
        "set a 0 0 1\r\nb\r\nflush_all\r\nwatch\r\nget a\r\n",
        "STORED\r\nCLIENT_ERROR flush_all not allowed\r\nCLIENT_ERROR watch commands not allowed\r\n\
         VALUE a 0 1\r\nb\r\nEND\r\n",
    );
}

/// The binary protocol's `flush`, and the one answer to it that has no error.
fn binary_flush() -> (Vec<u8>, String) {
    let message = |magic: u8| [&[magic, 0x08][..], &[0; 22]].concat();
    let reply = String::from_utf8_lossy(&message(0x81)).into_owned();
    (message(0x80), reply)
}

#[test]
fn only_one_of_memcacheds_protocols_may_be_spoken() {
    let place = Place::new();
    let (flush, done) = binary_flush();
    let text = "stats settings\r\n";
    let served = |options: &[&str]| place.serve(&[&FREE[..], options].concat(), 2);
    for protocol in ["text", "ascii"] {
        let larder = served(&["--memcached-protocol", protocol, "--backlog", "7"]);
        let mut client = larder.memcached();
        client.ask(
            [&flush[..], b"\r\nverbosity 1\r\n"].concat(),
            "ERROR\r\nOK\r\n",
        );
        client.say(text);
        client.say("quit\r\n");
        let settings = client.rest();
        for line in ["STAT binding_protocol ascii\r\n", "STAT tcp_backlog 7\r\n"] {
            assert!(settings.contains(line), "{settings}");
        }
    }
    let larder = served(&["--memcached-protocol", "binary"]);
    let mut client = TcpStream::connect(larder.address("memcached")).expect("it listens");
    client.set_read_timeout(Some(PATIENCE)).expect("not zero");
    client.write_all(&flush).expect("it is sent");
    let mut reply = [0; 24];
    client.read_exact(&mut reply).expect("the reply arrives");
    assert_eq!(String::from_utf8_lossy(&reply), done);
    let mut client = larder.memcached();
    client.say(text.repeat(2));
    client.closed();
}

#[test]
fn a_client_ends_the_server_if_that_is_allowed() {
    let place = Place::new();
    let options = ["--shutdown-command", "on"];
    for line in ["shutdown\r\n", "shutdown graceful\r\n"] {
        let mut larder = place.serve(&[&FREE[..], &options].concat(), 2);
        let mut client = larder.memcached();
        client.ask(
            "shutdown now\r\nversion x\r\nverbosity 1\r\n",
            concat!(
                "CLIENT_ERROR invalid shutdown mode\r\nVERSION 1.6.45-larder-",
                env!("CARGO_PKG_VERSION"),
                "\r\nOK\r\n"
            ),
        );
        client.say(line);
        client.closed();
        assert!(larder.ended().success());
    }
}

#[test]
fn a_closed_standard_output_does_not_keep_it_from_serving() {
    let place = Place::new();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!(
            "exec {:?} --memcached ./m.sock --resp off >&-",
            env!("CARGO_BIN_EXE_larder")
        ))
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    let mut larder = Larder::spawn(shell);
    larder.logs("serving with");
    let mut talk = Talk::unix(&place.path("m.sock"));
    talk.ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    larder.signal("TERM");
    assert_eq!(larder.ended().code(), Some(0));
}

#[test]
fn a_standard_output_that_is_full_is_an_error_without_a_panic() {
    let place = Place::new();
    for arguments in [&["config"][..], &FREE] {
        let full = File::options().write(true).open("/dev/full");
        let mut command = place.command(arguments);
        command.stdout(full.expect("Linux has it"));
        let printed = Larder::spawn(command).printed();
        assert_eq!(printed.code, Some(1), "{printed:?}");
        let last = printed.err.lines().last();
        assert_eq!(
            last,
            Some("larder: standard output: No space left on device (os error 28)")
        );
    }
}

#[test]
fn help_and_version_have_their_usual_options() {
    let place = Place::new();
    let version = place.run(&["--version"]);
    let expected = format!("larder {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((version.code, version.out), (Some(0), expected));
    let help = place.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["--memory <SIZE>", "larder config > larder.toml", "HUP"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    let wrong = place.run(&["--memroy", "1GiB"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("'--memory'"), "{}", wrong.err);
}

/// The number of times that the threads of a process have gone to sleep so far.
fn sleeps(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let of_task = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok())
    };
    tasks.flatten().filter_map(of_task).sum()
}

#[test]
fn an_idle_server_does_not_wake_though_items_will_expire() {
    let place = Place::new();
    let larder = place.serve(&FREE, 2);
    let mut client = larder.memcached();
    client.ask("set k 0 3600 1\r\nv\r\n", "STORED\r\n");
    // Each of these is noticed by the sweeper when it has expired, and it sleeps on.
    client.ask("set short 0 1 1\r\nv\r\n", "STORED\r\n");
    until("the item to expire", || client.stat("curr_items") == 1);
    until("a second without a thread that wakes", || {
        let before = sleeps(larder.pid());
        thread::sleep(Duration::from_secs(1));
        before > 0 && sleeps(larder.pid()) == before
    });
}
