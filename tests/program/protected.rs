//! `--protected-mode`: no listener that other machines can reach without a login, unless that is asked for.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::run::{FREE, Place, Talk};

/// Every address of this machine, and a free port.
const EVERYWHERE: &str = "0.0.0.0:0";

/// larder refuses to start with these arguments, and the reason begins so and names the options.
#[track_caller]
fn refused(place: &Place, arguments: &[&str], beginning: &str, options: &str) {
    let printed = place.run(arguments);
    let reason = format!(
        "larder: {beginning}: other machines can reach this address, and nobody has to log in; {options}listen on \
         127.0.0.1, or allow it with --protected-mode off\n"
    );
    assert_eq!((printed.code, printed.err), (Some(1), reason));
    assert_eq!(printed.out, "");
}

#[test]
fn a_server_that_others_can_reach_needs_a_login() {
    let place = Place::new();
    let memcached = ["--memcached", EVERYWHERE, "--resp", "off"];
    let resp = ["--memcached", "off", "--resp", EVERYWHERE];
    refused(
        &place,
        &memcached,
        "--memcached 0.0.0.0:0",
        "give --auth-file FILE or --tls-client-ca FILE, ",
    );
    let remedies = "give --password-file FILE, --acl-file FILE without an open default user, or --tls-client-ca FILE, ";
    refused(&place, &resp, "--resp 0.0.0.0:0", remedies);
    // Users alone don't close the door: without a line of its own the default user has no password.
    place.write("open.acl", "user alice on >horse ~* +@all\n");
    let with_file = [&resp[..], &["--acl-file", "open.acl"]].concat();
    refused(&place, &with_file, "--resp 0.0.0.0:0", remedies);
    let udp = [&FREE[..], &["--udp", EVERYWHERE]].concat();
    refused(&place, &udp, "--udp 0.0.0.0:0", "");

    place.write("users", "alice:horse\n");
    place.write("password", "horse\n");
    place.write(
        "closed.acl",
        "user default off\nuser alice on >horse ~* +@read +@write\n",
    );
    for (arguments, options) in [
        (&memcached, &["--auth-file", "users"][..]),
        (&memcached, &["--protected-mode", "off"]),
        (&resp, &["--password-file", "password"]),
        (&resp, &["--acl-file", "closed.acl"]),
        (&resp, &["--protected-mode", "off"]),
    ] {
        let larder = place.serve(&[&arguments[..], options].concat(), 1);
        larder.signal("TERM");
        assert_eq!(larder.printed().code, Some(0));
    }
}

/// An address of this machine that is not loopback, if it has one. Nothing is sent there.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// As in Redis. The listener was open to everybody once an administrator had taken the password away.
#[test]
fn without_a_password_any_more_others_are_refused_until_there_is_one() {
    let place = Place::new();
    place.write("password", "horse\n");
    let arguments = ["--memcached", "off", "--resp", EVERYWHERE];
    let arguments = [&arguments[..], &["--password-file", "password"]].concat();
    let larder = place.serve(&arguments, 1);
    let (_, port) = larder.address("resp").rsplit_once(':').expect("a port");
    let here = || Talk::tcp(&format!("127.0.0.1:{port}"));
    here().ask(
        "AUTH horse\r\nCONFIG SET requirepass ''\r\nPING\r\n",
        "+OK\r\n+OK\r\n+PONG\r\n",
    );
    here().ask("PING\r\n", "+PONG\r\n");
    // A machine without a network has no other address; the check itself has a test of its own.
    let Some(own) = own_address() else { return };
    let from_outside =
        || Talk::tcp(&SocketAddr::new(own, port.parse().expect("a port")).to_string());
    let mut refused = from_outside();
    refused.say("PING\r\n");
    let denied = "-DENIED larder is running in protected mode: ";
    assert!(refused.rest().starts_with(denied));
    here().ask("CONFIG SET requirepass mule\r\n", "+OK\r\n");
    from_outside().ask("AUTH mule\r\nPING\r\n", "+OK\r\n+PONG\r\n");
}

#[test]
fn the_admin_listener_has_no_login_that_would_open_it_to_others() {
    let place = Place::new();
    place.write("password", "horse\n");
    let mut arguments = FREE.to_vec();
    arguments.extend(["--password-file", "password", "--admin", EVERYWHERE]);
    refused(&place, &arguments, "--admin 0.0.0.0:0", "");
    arguments.extend(["--protected-mode", "off"]);
    drop(place.serve(&arguments, 3));
}

#[test]
fn the_file_can_turn_it_off_and_a_flag_on_again() {
    let place = Place::new();
    place.write("larder.toml", "[serve]\nprotected-mode = \"off\"\n");
    let arguments = ["--memcached", EVERYWHERE, "--resp", "off"];
    drop(place.serve(&arguments, 1));
    let protected = [&arguments[..], &["--protected-mode", "on"]].concat();
    assert_eq!(place.run(&protected).code, Some(1));
}

#[test]
fn the_tools_that_listen_have_it_too() {
    let place = Place::new();
    let tap = ["tap", "--upstream", "127.0.0.1:1", "--protocol", "resp"];
    for command in [&["echo"][..], &tap] {
        let arguments = [command, &["--listen", EVERYWHERE]].concat();
        refused(&place, &arguments, "--listen 0.0.0.0:0", "");
        let allowed = [&arguments[..], &["--protected-mode", "off"]].concat();
        drop(place.serve(&allowed, 1));
    }
}

#[test]
fn proxy_and_invalidate_have_it_too() {
    let place = Place::new();
    place.write("servers.txt", "127.0.0.1:1 1\n");
    place.write("password", "horse\n");
    let proxy = ["proxy", "--listen", EVERYWHERE, "--servers", "servers.txt"];
    refused(
        &place,
        &proxy,
        "--listen 0.0.0.0:0",
        "give --password-file FILE or --tls-client-ca FILE, ",
    );
    let with_admin = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--servers",
        "servers.txt",
    ];
    let with_admin = [&with_admin[..], &["--admin", EVERYWHERE]].concat();
    refused(&place, &with_admin, "--admin 0.0.0.0:0", "");
    let invalidate = ["invalidate", "--servers", "servers.txt", "--spool", "spool"];
    let with_admin = [
        &invalidate[..],
        &["--listen", "127.0.0.1:0", "--admin", EVERYWHERE],
    ]
    .concat();
    refused(&place, &with_admin, "--admin 0.0.0.0:0", "");
    let on_port = [&invalidate[..], &["--listen", EVERYWHERE]].concat();
    let remedy = "give --tls-client-ca FILE, ";
    refused(&place, &on_port, "--listen 0.0.0.0:0", remedy);
    let over_resp = [&invalidate[..], &["--listen", "off", "--resp", EVERYWHERE]].concat();
    refused(&place, &over_resp, "--resp 0.0.0.0:0", remedy);
    for arguments in [
        [&proxy[..], &["--password-file", "password"]].concat(),
        [&proxy[..], &["--protected-mode", "off"]].concat(),
        [&on_port[..], &["--protected-mode", "off"]].concat(),
    ] {
        drop(place.serve(&arguments, 1));
    }
}
