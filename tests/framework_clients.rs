//! The caches of frameworks, and newer clients: Django, dogpile.cache, meta-memcache and Keyv, against larder under both
//! models and through larder proxy.
//!
//! The scripts in `tests/clients/` don't depend on larder: they pass against the real memcached too, which is a separate test
//! here and proves them right.

mod proxy_support;
mod support;

use std::path::{Path, PathBuf};

use larder::Server;
use larder::proxy::{Protocol, Settings};
use larder::server::Model;
use proxy_support::Real;
use support::scripts::{self, run, run_node};
use support::skip;

/// Backends of Django and dogpile.cache that speak memcached's text protocol.
const TEXT: [&str; 4] = [
    "django-pymemcache",
    "django-pylibmc-text",
    "dogpile-memcached",
    "dogpile-pymemcache",
];

/// Those that speak the binary protocol.
const BINARY: [&str; 3] = [
    "django-pylibmc-binary",
    "dogpile-pylibmc",
    "dogpile-bmemcached",
];

const NO_PYTHON: &str =
    "there is no python3 with Django, dogpile.cache, meta-memcache and their clients (see .ci/run)";
const NO_NODE: &str = "there is no node with keyv in target/node (see .ci/run)";
const NO_MEMCACHED: &str = "there is no memcached";

fn python() -> Option<PathBuf> {
    scripts::python(
        "django, dogpile.cache, meta_memcache, pymemcache, pylibmc, bmemcached, memcache",
    )
}

fn node() -> Option<PathBuf> {
    scripts::node(&["keyv", "@keyv/memcache"])
}

fn larder(model: Model) -> Server {
    let server = Server::builder().model(model).start();
    server.expect("it starts on free ports")
}

fn memcached() -> Option<Real> {
    let address = proxy_support::free_port();
    Real::start_with("memcached", address, &["-I", "1m", "-m", "64"])
}

fn frameworks(python: &Path, address: &str, backends: &[&str]) {
    for backend in backends {
        run(python, "frameworks.py", &[address, backend]);
    }
}

#[test]
fn frameworks_work_with_larder_by_turns() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let server = larder(Model::Turns);
    let address = server.memcached_addr().to_string();
    frameworks(&python, &address, &[&TEXT[..], &BINARY].concat());
    run(&python, "meta.py", &[&address]);
}

#[test]
fn frameworks_work_with_larder_by_threads() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let server = larder(Model::Threads);
    let address = server.memcached_addr().to_string();
    frameworks(&python, &address, &[&TEXT[..], &BINARY].concat());
    run(&python, "meta.py", &[&address]);
}

#[test]
fn frameworks_work_through_the_proxy() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let servers = [larder(Model::Turns), larder(Model::Turns)];
    let addresses = servers.each_ref().map(Server::memcached_addr);
    let proxy = proxy_support::proxy(Settings::new(Protocol::Memcached), &addresses);
    let address = proxy.running.addresses()[0].to_string();
    frameworks(&python, &address, &[&TEXT[..], &BINARY].concat());
    run(&python, "meta.py", &[&address]);
}

#[test]
fn the_scripts_are_right_about_memcached() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let Some(memcached) = memcached() else {
        skip!("{NO_MEMCACHED}");
    };
    let address = memcached.address.to_string();
    frameworks(&python, &address, &[&TEXT[..], &BINARY].concat());
    run(&python, "meta.py", &[&address]);
}

#[test]
fn keyv_works_with_larder_as_with_memcached() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    for model in [Model::Turns, Model::Threads] {
        let server = larder(model);
        run_node(&node, "keyv.cjs", &[&server.memcached_addr().to_string()]);
    }
}

#[test]
fn keyv_works_through_the_proxy() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let servers = [larder(Model::Turns), larder(Model::Turns)];
    let addresses = servers.each_ref().map(Server::memcached_addr);
    let proxy = proxy_support::proxy(Settings::new(Protocol::Memcached), &addresses);
    run_node(
        &node,
        "keyv.cjs",
        &[&proxy.running.addresses()[0].to_string()],
    );
}

#[test]
fn the_keyv_script_is_right_about_memcached() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let Some(memcached) = memcached() else {
        skip!("{NO_MEMCACHED}");
    };
    run_node(&node, "keyv.cjs", &[&memcached.address.to_string()]);
}
