//! The clients that speak memcached's binary protocol, against larder under both models and through larder proxy: libmemcached's
//! `memccapable` and its tools, pylibmc, python-binary-memcached and memjs.
//!
//! The scripts in `tests/clients/` don't depend on larder: they pass against the real memcached too, which is a separate test
//! here and proves them right.

mod proxy_support;
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use larder::Server;
use larder::proxy::{Protocol, Settings};
use larder::server::Model;
use proxy_support::{Real, TestProxy};
use support::scripts::{self, run, run_node};
use support::{find, skip};

const LIBRARIES: [&str; 2] = ["pylibmc", "bmemcached"];

/// larder under each model.
fn larders() -> impl Iterator<Item = Server> {
    [Model::Turns, Model::Threads].into_iter().map(|model| {
        let server = Server::builder().model(model).start();
        server.expect("it starts on free ports")
    })
}

/// A proxy in front of two larders, and its address.
fn proxied() -> (TestProxy, [Server; 2], String) {
    let servers = [(); 2].map(|()| Server::start().expect("it starts on free ports"));
    let addresses = servers.each_ref().map(Server::memcached_addr);
    let proxy = proxy_support::proxy(Settings::new(Protocol::Memcached), &addresses);
    let address = proxy.running.addresses()[0].to_string();
    (proxy, servers, address)
}

fn memcached() -> Option<Real> {
    let address = proxy_support::free_port();
    Real::start_with("memcached", address, &["-I", "1m", "-m", "64"])
}

fn python() -> Option<PathBuf> {
    scripts::python("pylibmc, bmemcached")
}

fn node() -> Option<PathBuf> {
    scripts::node(&["memjs"])
}

const NO_PYTHON: &str = "there is no python3 with pylibmc and bmemcached (see .ci/run)";
const NO_NODE: &str = "there is no node with memjs in target/node (see .ci/run)";

#[test]
fn python_clients_work_with_larder_as_with_memcached() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    for server in larders() {
        let address = server.memcached_addr().to_string();
        for library in LIBRARIES {
            run(&python, "binary.py", &[&address, library]);
        }
    }
}

#[test]
fn python_clients_work_through_the_proxy() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let (_proxy, _servers, address) = proxied();
    for library in LIBRARIES {
        run(&python, "binary.py", &[&address, library]);
    }
}

#[test]
fn the_python_script_is_right_about_memcached() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let Some(memcached) = memcached() else {
        skip!("there is no memcached");
    };
    for library in LIBRARIES {
        run(
            &python,
            "binary.py",
            &[&memcached.address.to_string(), library],
        );
    }
}

#[test]
fn memjs_works_with_larder_as_with_memcached() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    for server in larders() {
        let address = server.memcached_addr().to_string();
        run_node(&node, "memjs.cjs", &[&address]);
    }
}

#[test]
fn memjs_works_through_the_proxy() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let (_proxy, _servers, address) = proxied();
    run_node(&node, "memjs.cjs", &[&address]);
}

#[test]
fn the_memjs_script_is_right_about_memcached() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let Some(memcached) = memcached() else {
        skip!("there is no memcached");
    };
    run_node(&node, "memjs.cjs", &[&memcached.address.to_string()]);
}

/// The output of a program of libmemcached-tools, and whether it succeeded.
fn output(program: &PathBuf, arguments: &[&str]) -> (String, bool) {
    let done = Command::new(program).args(arguments).output();
    let done = done.expect("it starts");
    let printed = [done.stdout, done.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (printed, done.status.success())
}

#[test]
fn memccapable_finds_all_capabilities() {
    let Some(program) = find("memccapable") else {
        skip!("there is no memccapable");
    };
    for model in [Model::Turns, Model::Threads] {
        let server = Server::builder().model(model).nested(false).start();
        let server = server.expect("it starts on free ports");
        let (printed, passed) = capabilities(&program, server.memcached_addr());
        assert!(passed, "{printed}");
        assert_eq!(printed.matches("[pass]").count(), 54, "{printed}");
    }
}

#[test]
fn memccapable_finds_all_binary_capabilities_of_a_memcached_behind_the_proxy() {
    let Some(program) = find("memccapable") else {
        skip!("there is no memccapable");
    };
    let Some(memcached) = memcached() else {
        skip!("there is no memcached");
    };
    let proxy = proxy_support::proxy(Settings::new(Protocol::Memcached), &[memcached.address]);
    let address = proxy.running.addresses()[0].tcp().expect("a TCP listener");
    let (printed, passed) = capability(&program, address, &["-b"]);
    assert!(passed, "{printed}");
    assert_eq!(printed.matches("[pass]").count(), 27, "{printed}");
}

/// `delete a b c d e` is an error to memccapable. A larder with nested keys takes it for a path, and answers NOT_FOUND. So does
/// memcached 1.6.45, which ignores words behind the key.
#[test]
fn with_nested_keys_memccapable_misses_the_error_of_a_delete_with_many_words() {
    let Some(program) = find("memccapable") else {
        skip!("there is no memccapable");
    };
    for server in larders() {
        let (printed, passed) = capabilities(&program, server.memcached_addr());
        assert!(!passed);
        assert_eq!(printed.matches("[pass]").count(), 52, "{printed}");
        assert_eq!(printed.matches("[FAIL]").count(), 2, "{printed}");
        for name in ["ascii delete", "ascii delete noreply"] {
            let alone = capability(&program, server.memcached_addr(), &["-T", name]);
            assert!(!alone.1, "{}", alone.0);
        }
    }
}

/// memccapable's report: its names are on standard output, the results of failed ones on standard error.
fn capabilities(program: &PathBuf, address: SocketAddr) -> (String, bool) {
    capability(program, address, &[])
}

fn capability(program: &PathBuf, address: SocketAddr, more: &[&str]) -> (String, bool) {
    let port = address.port().to_string();
    let arguments = ["-h", "127.0.0.1", "-p", &port, "-t", "60"];
    output(program, &[&arguments[..], more].concat())
}

#[test]
fn libmemcached_s_tools_store_list_and_remove_items() {
    let tools = [
        "memccp",
        "memccat",
        "memcexist",
        "memctouch",
        "memcrm",
        "memcstat",
        "memcflush",
    ];
    let tools: Option<Vec<PathBuf>> = tools.iter().map(|tool| find(tool)).collect();
    let Some([copy, cat, exists, touch, remove, stat, flush]) = tools.as_deref() else {
        skip!("there are no libmemcached-tools");
    };
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("greeting");
    std::fs::write(&file, "hello from a file\n").expect("it can be written");
    let file = file.display().to_string();
    let (_proxy, _servers, proxied) = proxied();
    let servers: Vec<Server> = larders().collect();
    let direct = servers
        .iter()
        .map(|server| server.memcached_addr().to_string());
    for address in direct.chain([proxied]) {
        let servers = format!("--servers={address}");
        let run = |program, arguments: &[&str]| {
            output(
                program,
                &[&[servers.as_str(), "--binary"], arguments].concat(),
            )
        };
        let succeeds = |program, arguments: &[&str]| {
            let (printed, succeeded) = run(program, arguments);
            assert!(succeeded, "{program:?} {arguments:?}: {printed}");
            printed
        };
        succeeds(copy, &[&file]);
        assert_eq!(succeeds(cat, &["greeting"]), "hello from a file\n\n");
        succeeds(exists, &["greeting"]);
        succeeds(touch, &["--expire=1000", "greeting"]);
        let statistics = succeeds(stat, &[]);
        assert!(statistics.contains("curr_items: 1\n"), "{statistics}");
        succeeds(remove, &["greeting"]);
        assert!(!run(exists, &["greeting"]).1);
        succeeds(copy, &[&file]);
        succeeds(flush, &[]);
        assert!(!run(exists, &["greeting"]).1);
    }
}
