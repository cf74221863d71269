//! Users, passwords and TLS.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use larder::{Server, ServerTls};

use crate::larder;
use crate::tls_support::Authority;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn users_log_in_with_a_password_from_a_file_or_the_environment() {
    let place = tempfile::tempdir().expect("a directory");
    let [users, password, wrong] =
        ["users", "password", "wrong"].map(|name| place.path().join(name));
    std::fs::write(&users, "app:secret\n").expect("a file");
    std::fs::write(&password, "secret\nnotes\n").expect("a file");
    std::fs::write(&wrong, "guess\n").expect("a file");
    let server = Server::builder()
        .auth_file(Some(users))
        .password(Some("secret".to_owned()))
        .start()
        .expect("free ports");
    let (memcached, resp) = (
        server.memcached_addr().to_string(),
        server.resp_addr().to_string(),
    );
    let file = ["--password-file", text(&password)];
    let as_user = [
        "--user",
        "app",
        "--password-file",
        text(&password),
        "--server",
        &memcached,
    ];
    larder(&[&["set", "k", "v"][..], &as_user].concat()).gives(0, "");
    larder(&[&["get", "k"][..], &as_user].concat()).gives(0, "v");
    let ran = larder(&[&["keys"][..], &as_user].concat());
    assert!(ran.out.ends_with(b" - k\n"), "{}", ran.error);
    let in_resp = [&["get", "k", "--resp", "--server", &resp][..], &file].concat();
    larder(&in_resp).gives(0, "v");

    larder(&["get", "k", "--server", &memcached]).fails(&format!("{memcached} answered"));
    larder(&["get", "k", "--resp", "--server", &resp]).fails("NOAUTH");
    let guess = [
        "--user",
        "app",
        "--password-file",
        text(&wrong),
        "--server",
        &memcached,
    ];
    let refused = format!("{memcached} refused the login");
    larder(&[&["get", "k"][..], &guess].concat()).fails(&refused);
    let nameless = [&["get", "k", "--server", &memcached][..], &file].concat();
    larder(&nameless).fails("memcached's users have names: give --user NAME");
    larder(&["get", "k", "--user", "app", "--server", &memcached]).fails("--user needs a password");
    let output = Command::new(env!("CARGO_BIN_EXE_larder"))
        .args(["get", "k", "--user", "app", "--server", &memcached])
        .env("LARDER_UPSTREAM_PASSWORD", "secret")
        .output()
        .expect("it starts");
    assert_eq!(output.stdout, b"v");

    let open = Server::start().expect("free ports");
    let open = open.resp_addr().to_string();
    let from = [
        "--from-user",
        "app",
        "--from-password-file",
        text(&password),
        "--to-resp",
    ];
    larder(&[&["cp", &memcached, &open][..], &from].concat()).gives(0, "1 items copied, 1 bytes\n");
    let ran = larder(&["cp", &open, &resp, "--resp"]);
    ran.fails(&format!("larder cp: {resp} answered `NOAUTH"));
    let to = ["--to-password-file", text(&password)];
    let ran = larder(&[&["cp", &open, &resp, "--resp"][..], &to].concat());
    ran.gives(0, "1 items copied, 1 bytes\n");
}

#[test]
fn a_server_with_tls_is_asked_over_tls() {
    let authority = Authority::new();
    let identity = authority.issue("server");
    let tls = ServerTls::new(&identity.cert, &identity.key, None).expect("a certificate");
    let server = Server::builder()
        .tls(Some(Arc::new(tls)))
        .start()
        .expect("free ports");
    let address = server.memcached_addr().to_string();
    let ca = authority.ca();
    let over_tls = ["--tls-ca", text(&ca), "--server", &address];
    larder(&[&["set", "k", "v"][..], &over_tls].concat()).gives(0, "");
    larder(&[&["get", "k"][..], &over_tls].concat()).gives(0, "v");
    let ran = larder(&[&["keys"][..], &over_tls].concat());
    assert!(ran.out.ends_with(b" - k\n"), "{}", ran.error);
    let open = Server::start().expect("free ports");
    let open = open.memcached_addr().to_string();
    let ran = larder(&["cp", &address, &open, "--from-tls-ca", text(&ca)]);
    ran.gives(0, "1 items copied, 1 bytes\n");
    let ran = larder(&["cp", &open, &address, "--to-tls-ca", text(&ca)]);
    ran.gives(0, "1 items copied, 1 bytes\n");

    let other = Authority::new().ca();
    let other = ["--tls-ca", text(&other), "--server", &address];
    let ran = larder(&[&["get", "k"][..], &other].concat());
    assert_eq!(ran.code, Some(2));
    larder(&["get", "k", "--tls-ca", text(&ca), "--server", "/run/socket"])
        .fails("--server: /run/socket: there is no TLS on a Unix socket");
}
