//! `larder ping`, for health checks: its exit code is what matters.

use larder::Server;

use crate::larder;
use crate::proxy_support::answerer;
use crate::support::reserved_port;

fn server() -> Server {
    Server::start().expect("free ports")
}

#[test]
fn a_server_that_answers_is_healthy_in_both_protocols() {
    let server = server();
    let memcached = server.memcached_addr().to_string();
    let resp = server.resp_addr().to_string();
    larder(&["ping", "--server", &memcached]).gives(0, "");
    larder(&["ping", "--resp", "--server", &resp]).gives(0, "");
}

#[test]
fn a_server_that_is_down_or_answers_nonsense_is_named() {
    let server = server();
    let up = server.memcached_addr().to_string();
    let nonsense = answerer(b"nonsense\r\n", false).to_string();
    let down = format!("127.0.0.1:{}", reserved_port());
    for bad in [&down, &nonsense] {
        let ran = larder(&["ping", "--server", &up, "--server", bad]);
        assert_eq!(ran.code, Some(1), "{}", ran.error);
        let lines: Vec<&str> = ran.error.lines().collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with("larder ping: ") && lines[0].contains(bad.as_str()),
            "{lines:?}"
        );
    }
    assert_eq!(larder(&["ping", "--server", "nowhere:x"]).code, Some(2));
}
