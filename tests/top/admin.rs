//! `larder top` beside the admin listener of each of larder's servers, and beside an invalidation server.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use larder::Server;
use serde_json::Value;

use super::{connect, figures, send};

/// A larder with its addresses by their name. It ends when this is dropped.
struct Running(Child, Vec<(String, String)>);

impl Running {
    /// Starts it in a directory, and waits until so many listeners are ready.
    fn start(place: &Path, arguments: &[&str], listeners: usize) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(arguments)
            .current_dir(place)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let addresses = lines.take(listeners).map(|line| {
            let line = line.expect("a line");
            let rest = line.strip_prefix("listening on ").expect("an address");
            let (name, address) = rest.split_once(' ').expect("its name");
            (name.to_owned(), address.to_owned())
        });
        let addresses = addresses.collect();
        Running(child, addresses)
    }

    #[track_caller]
    fn address(&self, name: &str) -> &str {
        let found = self.1.iter().find(|it| it.0 == name);
        &found
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.1))
            .1
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks `larder top` while requests are sent, until the figures of the only server hold a condition.
#[track_caller]
fn until(address: &str, mut load: impl FnMut() + Send, holds: impl Fn(&Value) -> bool) {
    let end = std::time::Instant::now() + super::PATIENCE;
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                load();
            }
        });
        loop {
            let shown = &figures(&[address])[0];
            if holds(shown) {
                break;
            }
            assert!(std::time::Instant::now() < end, "{shown:#}");
        }
        drop(stop);
    });
}

fn has_command(shown: &Value, protocol: &str, command: &str) -> bool {
    let commands = shown["commands"].as_array().expect("a list");
    commands.iter().any(|it| {
        it["protocol"] == protocol
            && it["command"] == command
            && it["requests_per_second"].as_f64() > Some(0.0)
    })
}

#[test]
fn the_admin_listener_of_a_server_shows_commands_with_their_latencies() {
    let place = tempfile::tempdir().expect("a directory");
    let serve = ["--memcached", "127.0.0.1:0", "--resp", "127.0.0.1:0"];
    for admin in ["127.0.0.1:0", "./admin.sock"] {
        let arguments = [&serve[..], &["--admin", admin]].concat();
        let larder = Running::start(place.path(), &arguments, 3);
        let (memcached, resp) = (larder.address("memcached"), larder.address("resp"));
        let load = || {
            send(connect(memcached), &["set a 0 0 1\r\nx", "touch a 0"]);
            send(connect(resp), &["SET b x", "GETX"]);
        };
        let address = match admin {
            "./admin.sock" => place.path().join("admin.sock").display().to_string(),
            _ => larder.address("admin").to_owned(),
        };
        until(&address, load, |shown| {
            let commands = shown["commands"].as_array().expect("a list");
            let set = commands.iter().find(|it| it["protocol"] == "resp");
            assert_eq!(
                (&shown["program"], &shown["healthy"]),
                (&"larder".into(), &true.into())
            );
            assert_eq!(shown["probe_median_ms"], Value::Null);
            has_command(shown, "text", "touch")
                && set.is_some_and(|set| set["p99_ms"].as_f64() > Some(0.0))
                && shown["p99_ms"].is_number()
        });
    }
}

#[test]
fn the_admin_listener_of_a_proxy_shows_what_its_clients_did() {
    let place = tempfile::tempdir().expect("a directory");
    let server = Server::start().expect("free ports");
    let upstream = server.memcached_addr().to_string();
    let listen = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let proxy = ["proxy", "--protocol", "memcached", "--upstream", &upstream];
    let proxy = Running::start(place.path(), &[&proxy[..], &listen].concat(), 2);
    let clients = proxy.address("memcached");
    let load = || send(connect(clients), &["set a 0 0 1\r\nx", "mn", "nonsense"]);
    until(proxy.address("admin"), load, |shown| {
        assert_eq!(shown["program"], "proxy");
        assert_eq!(shown["upstreams"][0]["address"], *upstream);
        has_command(shown, "text", "set")
            && has_command(shown, "meta", "mn")
            && shown["errors_per_second"].as_f64() > Some(0.0)
            && shown["upstreams"][0]["requests"].as_u64() > Some(0)
    });
}

#[test]
fn an_invalidation_server_is_shown_by_each_of_its_listeners() {
    let place = tempfile::tempdir().expect("a directory");
    let server = Server::start().expect("free ports");
    let cache = server.memcached_addr().to_string();
    std::fs::write(place.path().join("servers.txt"), format!("{cache} 1\n")).expect("written");
    let listen = [
        "--listen",
        "127.0.0.1:0",
        "--resp",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ];
    for reads in ["refuse", "forward"] {
        let arguments = ["invalidate", "--servers", "servers.txt", "--reads", reads];
        let larder = Running::start(place.path(), &[&arguments[..], &listen].concat(), 3);
        let clients = larder.address("memcached");
        let load = || send(connect(clients), &["delete a"]);
        for listener in ["memcached", "resp", "admin"] {
            until(larder.address(listener), load, |shown| {
                assert_eq!(shown["program"], "invalidate", "{listener}: {shown:#}");
                let target = &shown["targets"][0];
                assert_eq!(target["name"], format!("pool/{cache}"));
                target["state"] == "up to date"
                    && target["delivered"].as_u64() > Some(0)
                    && shown["requests_per_second"].as_f64() > Some(0.0)
            });
        }
    }
}
