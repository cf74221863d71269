//! Users with passwords, and TLS, in both protocols.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;

use larder::client::{Cache, Client, Cluster, ErrorKind, Protocol, Settings};
use larder::{ClientTls, Placement, Server, ServerTls};

use crate::patient;
use crate::proxy_support::{Real, free_port, list};
use crate::support::{find, skip};
use crate::tls_support::{Authority, Identity};

/// A file with the users of a memcached, in a directory of its own.
fn users() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("users");
    std::fs::write(&file, "app:secret-word\n").expect("it is written");
    let path = file.display().to_string();
    (directory, path)
}

fn resp() -> Settings {
    patient().protocol(Protocol::Resp)
}

/// Stores and reads with these settings, and with a cluster of this one server.
fn store_and_read(address: SocketAddr, settings: &Settings) {
    let client = Client::with_settings(&address.to_string(), settings.clone());
    client.set("key", "value", None).expect("stored");
    let cluster = Cluster::with_settings(&list(&[address]), Placement::Ketama, settings.clone());
    let items = cluster.get_many(&["none", "key"]).expect("answers");
    assert_eq!(items, [None, Some("value".into())]);
}

#[track_caller]
fn is_refused(address: SocketAddr, settings: Settings, text: &str) {
    let client = Client::with_settings(&address.to_string(), settings);
    for _ in 0..2 {
        let error = client.get("key").expect_err("the user is refused");
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
}

fn log_in_to_memcached(address: SocketAddr) {
    store_and_read(address, &patient().login("app", "secret-word"));
    let failure = "refused the login: CLIENT_ERROR authentication failure";
    is_refused(address, patient().login("app", "secret"), failure);
    is_refused(address, patient().login("another", "secret-word"), failure);
    is_refused(address, patient(), "CLIENT_ERROR unauthenticated");
}

#[test]
fn a_user_of_memcached_logs_in_on_each_connection() {
    let (_directory, file) = users();
    let Some(real) = Real::start_with("memcached", free_port(), &["-Y", &file]) else {
        skip!("memcached is not installed");
    };
    log_in_to_memcached(real.address);
}

#[test]
fn a_user_of_larders_memcached_logs_in_on_each_connection() {
    let (_directory, file) = users();
    let server = Server::builder().auth_file(Some(file.into()));
    let server = server.start().expect("free ports");
    log_in_to_memcached(server.memcached_addr());
}

fn log_in_to_redis(address: SocketAddr) {
    store_and_read(address, &resp().login("default", "secret-word"));
    let other_database = resp().login("default", "secret-word").database(3);
    let client = Client::with_settings(&address.to_string(), other_database);
    assert_eq!(client.get("key").expect("an answer"), None);
    client.set("key", "of 3", None).expect("stored");
    store_and_read(address, &resp().login("default", "secret-word"));

    let failure = "refused the login: WRONGPASS";
    is_refused(address, resp().login("default", "secret"), failure);
    is_refused(address, resp().login("another", "secret-word"), failure);
    is_refused(address, resp(), "answered `NOAUTH");
}

#[test]
fn a_user_of_redis_logs_in_on_each_connection() {
    let password = ["--requirepass", "secret-word"];
    let Some(real) = Real::start_with("redis-server", free_port(), &password) else {
        skip!("redis-server is not installed");
    };
    log_in_to_redis(real.address);
}

#[test]
fn a_user_of_larders_resp_logs_in_on_each_connection() {
    let server = Server::builder().password(Some("secret-word".to_owned()));
    let server = server.start().expect("free ports");
    log_in_to_redis(server.resp_addr());
}

#[test]
fn settings_do_not_show_the_password() {
    let shown = format!("{:?}", patient().login("app", "secret-word"));
    assert!(
        shown.contains("app") && !shown.contains("secret"),
        "{shown}"
    );
}

fn trusting(authority: &Authority) -> Option<Arc<ClientTls>> {
    let tls = ClientTls::new(authority.ca(), None).expect("good files");
    Some(Arc::new(tls))
}

fn larder_with_tls(Identity { cert, key }: Identity) -> Server {
    let tls = ServerTls::new(cert, key, None).expect("good files");
    let builder = Server::builder().tls(Some(Arc::new(tls)));
    builder.start().expect("free ports")
}

#[test]
fn tls_works_with_larder() {
    let authority = Authority::new();
    let server = larder_with_tls(authority.issue("server"));
    store_and_read(
        server.memcached_addr(),
        &patient().tls(trusting(&authority)),
    );
    store_and_read(server.resp_addr(), &resp().tls(trusting(&authority)));

    let large = Client::with_settings(
        &server.memcached_addr().to_string(),
        patient().tls(trusting(&authority)),
    );
    let value = vec![b'x'; 900_000];
    large.set("large", value.clone(), None).expect("stored");
    let item = large.get("large").expect("an answer").expect("it exists");
    assert!(item.value == value);
}

#[test]
fn tls_works_with_memcached() {
    let help = find("memcached").and_then(|path| Command::new(path).arg("-h").output().ok());
    let has_tls = |text: &[u8]| String::from_utf8_lossy(text).contains("--enable-ssl");
    if !help.is_some_and(|help| has_tls(&help.stdout)) {
        skip!("memcached is not installed, or built without TLS");
    }
    let authority = Authority::new();
    let Identity { cert, key } = authority.issue("server");
    let files = format!(
        "ssl_chain_cert={},ssl_key={}",
        cert.display(),
        key.display()
    );
    let (_directory, users) = users();
    let options = ["-Z", "-o", &files, "-Y", &users];
    let real = Real::start_with("memcached", free_port(), &options).expect("it is installed");
    let settings = patient().tls(trusting(&authority));
    store_and_read(real.address, &settings.login("app", "secret-word"));
}

#[test]
fn a_certificate_of_another_authority_is_refused() {
    let authority = Authority::new();
    let server = larder_with_tls(authority.issue("server"));
    let plain = Server::start().expect("free ports");
    for (address, trusted) in [
        (server.memcached_addr(), Authority::new()),
        (plain.memcached_addr(), authority),
    ] {
        let settings = patient().tls(trusting(&trusted));
        let client = Client::with_settings(&address.to_string(), settings);
        let error = client.get("key").expect_err("it is not the server");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("can't be connected to"),
            "{error}"
        );
    }
}
