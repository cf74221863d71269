//! The clients that people already have: pymemcache, redis-py, node-redis, ioredis and redis-cli, against larder under both
//! models, and through its proxy.
//!
//! The conversations are scripts in `tests/clients/`, and tables below for `redis-cli`. None of them depends on larder:
//! each passes against the real memcached or redis-server too, which is a separate test here and proves it right.
//!
//! Python is the one in `target/venv` if that is there (`.ci/run` makes it), else `python3`, if it has the modules. Node's
//! modules are those in `target/node`.

mod cluster_support;
mod proxy_support;
mod support;
mod tls_support;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use larder::pool::Placement;
use larder::proxy::{Protocol, Proxy};
use larder::server::{ClientTls, Listen, Model};
use larder::tools::transcript::Address;
use larder::{Server, ServerTls};
use proxy_support::{Real, TestProxy};
use support::scripts::{self, finish, node_command, python_command, run, run_node};
use support::{Kind, Peer, find, skip};
use tls_support::Authority;

const MODELS: [Model; 2] = [Model::Turns, Model::Threads];

/// A Python that has the modules, if there is one.
fn python() -> Option<PathBuf> {
    scripts::python("pymemcache, redis")
}

/// Node, if it is installed and has the modules.
fn node() -> Option<PathBuf> {
    scripts::node(&["redis", "ioredis"])
}

fn larder(model: Model) -> Server {
    let server = Server::builder().model(model).start();
    server.expect("it starts on free ports")
}

/// A real server and its socket, if it is installed.
fn real(kind: Kind) -> Option<(Peer, String)> {
    let peer = Peer::start(kind, &[]).expect("it starts")?;
    let socket = peer.socket().display().to_string();
    Some((peer, socket))
}

const NO_PYTHON: &str = "there is no python3 with pymemcache and redis (see .ci/run)";

#[test]
fn pymemcache_works_with_larder_as_with_memcached() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    for model in MODELS {
        let server = larder(model);
        let address = server.memcached_addr().to_string();
        run(&python, "memcached.py", &[&address]);
    }
}

#[test]
fn the_pymemcache_script_is_right_about_memcached() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let Some((_peer, socket)) = real(Kind::Memcached) else {
        skip!("there is no memcached");
    };
    run(&python, "memcached.py", &[&socket]);
}

#[test]
fn redis_py_works_with_larder_as_with_redis() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    for model in MODELS {
        let server = larder(model);
        let address = server.resp_addr().to_string();
        for protocol in ["2", "3"] {
            run(&python, "redis_py.py", &[&address, protocol]);
        }
    }
}

#[test]
fn the_redis_py_script_is_right_about_redis() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let Some((_peer, socket)) = real(Kind::Redis) else {
        skip!("there is no redis-server");
    };
    for protocol in ["2", "3"] {
        run(&python, "redis_py.py", &[&socket, protocol]);
    }
}

#[test]
fn redis_py_takes_a_cluster_behind_the_proxy_for_one_redis() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let (Some((_peer, socket)), Some(cluster)) =
        (real(Kind::Redis), cluster_support::Cluster::start(3, false))
    else {
        skip!("there is no redis-server");
    };
    let proxy = cluster.proxy();
    let address = proxy.running.addresses()[0].to_string();
    for protocol in ["2", "3"] {
        for place in [&socket, &address] {
            run(&python, "redis_py_slots.py", &[place, protocol]);
        }
    }
}

#[test]
fn clients_find_no_difference_through_the_proxy() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let (Some(redis), Some(memcached)) = (
        Real::start("redis-server"),
        Real::start_with("memcached", proxy_support::free_port(), &["-I", "1m"]),
    ) else {
        skip!("there is no redis-server, or no memcached");
    };
    let through = |protocol, upstream| {
        let proxy = proxy_support::proxy(larder::proxy::Settings::new(protocol), &[upstream]);
        let address = proxy.running.addresses()[0].to_string();
        (proxy, address)
    };
    let (_proxy, address) = through(Protocol::Resp, redis.address);
    for protocol in ["2", "3"] {
        run(&python, "redis_py.py", &[&address, protocol]);
    }
    let (_proxy, address) = through(Protocol::Memcached, memcached.address);
    run(&python, "memcached.py", &[&address]);
}

const NO_NODE: &str = "there is no node with redis and ioredis in target/node (see .ci/run)";

#[test]
fn the_node_script_is_right_about_redis() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let Some(redis) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    for protocol in ["2", "3"] {
        run_node(&node, "node.cjs", &[&redis.address.to_string(), protocol]);
    }
}

#[test]
fn node_clients_take_one_server_a_pool_or_a_cluster_behind_the_proxy_for_one_redis() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    let servers: Option<Vec<Real>> = (0..3).map(|_| Real::start("redis-server")).collect();
    let (Some(servers), Some(cluster)) = (servers, cluster_support::Cluster::start(3, false))
    else {
        skip!("there is no redis-server");
    };
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let settings = || larder::proxy::Settings::new(Protocol::Resp);
    let proxies = [
        proxy_support::proxy(settings(), &addresses[..1]),
        proxy_support::proxy(settings(), &addresses),
        cluster.proxy(),
    ];
    for proxy in &proxies {
        let address = proxy.running.addresses()[0].to_string();
        for protocol in ["2", "3"] {
            run_node(&node, "node.cjs", &[&address, protocol]);
        }
    }
}

#[test]
fn redis_cli_works_with_larder_as_with_redis() {
    let Some(program) = find("redis-cli") else {
        skip!("there is no redis-cli");
    };
    for model in MODELS {
        let server = larder(model);
        RedisCli::new(&program, &Address::Tcp(server.resp_addr().to_string())).everything();
    }
}

#[test]
fn the_output_expected_of_redis_cli_is_right_for_redis() {
    let Some(program) = find("redis-cli") else {
        skip!("there is no redis-cli");
    };
    let Some((peer, _)) = real(Kind::Redis) else {
        skip!("there is no redis-server");
    };
    RedisCli::new(&program, &peer.address()).everything();
}

/// The scripts again, with TLS: against larder under both models, and through a proxy with TLS on both sides.
struct OverTls {
    authority: Authority,
    server: Server,
    proxy: Option<TestProxy>,
}

impl OverTls {
    fn new(model: Model) -> OverTls {
        let authority = Authority::new();
        let tls = OverTls::listeners(&authority, "server");
        let server = Server::builder().model(model).tls(tls).start();
        OverTls {
            authority,
            server: server.expect("it starts on free ports"),
            proxy: None,
        }
    }

    fn listeners(authority: &Authority, name: &str) -> Option<Arc<ServerTls>> {
        let files = authority.issue(name);
        let tls = ServerTls::new(files.cert, files.key, None).expect("good files");
        Some(Arc::new(tls))
    }

    fn proxied() -> OverTls {
        let mut this = OverTls::new(Model::Turns);
        let trusted = ClientTls::new(this.authority.ca(), None).expect("good files");
        let servers = proxy_support::list(&[this.server.resp_addr()]);
        let settings = larder::proxy::Settings::new(Protocol::Resp);
        let (running, control) = Proxy::new(settings, servers, Placement::Ketama)
            .tls(OverTls::listeners(&this.authority, "proxy"))
            .upstream_tls(Some(Arc::new(trusted)))
            .start(Listen::Tcp("127.0.0.1:0".into()))
            .expect("a free port");
        this.proxy = Some(TestProxy { running, control });
        this
    }

    fn resp(&self) -> String {
        match &self.proxy {
            Some(proxy) => proxy.running.addresses()[0].to_string(),
            None => self.server.resp_addr().to_string(),
        }
    }

    #[track_caller]
    fn run(&self, mut command: Command, script: &str, arguments: &[&str]) {
        command.env("TLS_CA", self.authority.ca());
        finish(command, script, arguments);
    }
}

#[test]
fn python_clients_find_no_difference_with_tls() {
    let Some(python) = python() else {
        skip!("{NO_PYTHON}");
    };
    let command = || python_command(&python);
    for model in MODELS {
        let tls = OverTls::new(model);
        let memcached = tls.server.memcached_addr().to_string();
        tls.run(command(), "memcached.py", &[&memcached]);
        tls.run(command(), "redis_py.py", &[&tls.resp(), "3"]);
    }
    let tls = OverTls::proxied();
    tls.run(command(), "redis_py.py", &[&tls.resp(), "3"]);
}

#[test]
fn node_clients_find_no_difference_with_tls() {
    let Some(node) = node() else {
        skip!("{NO_NODE}");
    };
    // Their checks need commands that a Redis has and larder has not.
    let Some(redis) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    let authority = Authority::new();
    let (running, _control) = Proxy::new(
        larder::proxy::Settings::new(Protocol::Resp),
        proxy_support::list(&[redis.address]),
        Placement::Ketama,
    )
    .tls(OverTls::listeners(&authority, "proxy"))
    .start(Listen::Tcp("127.0.0.1:0".into()))
    .expect("a free port");
    let address = running.addresses()[0].to_string();
    for protocol in ["2", "3"] {
        let mut command = node_command(&node);
        command.env("TLS_CA", authority.ca());
        finish(command, "node.cjs", &[&address, protocol]);
    }
}

#[test]
fn redis_cli_finds_no_difference_with_tls() {
    let Some(program) = find("redis-cli") else {
        skip!("there is no redis-cli");
    };
    for model in MODELS {
        let tls = OverTls::new(model);
        let mut cli = RedisCli::new(&program, &Address::Tcp(tls.resp()));
        let ca = tls.authority.ca().display().to_string();
        cli.server.extend(["--tls".into(), "--cacert".into(), ca]);
        cli.everything();
    }
}

/// redis-cli and its server.
struct RedisCli<'a> {
    program: &'a Path,
    server: Vec<String>,
}

impl RedisCli<'_> {
    fn new<'a>(program: &'a Path, server: &Address) -> RedisCli<'a> {
        let server = match server {
            Address::Tcp(address) => {
                let address: SocketAddr = address.parse().expect("an address and a port");
                let port = address.port().to_string();
                vec!["-h".to_owned(), address.ip().to_string(), "-p".into(), port]
            }
            Address::Unix(path) => vec!["-s".to_owned(), path.display().to_string()],
        };
        RedisCli { program, server }
    }

    /// Its output for these arguments and this input.
    #[track_caller]
    fn prints(&self, arguments: &str, input: &str) -> String {
        let mut child = Command::new(self.program)
            .args(&self.server)
            .args(arguments.split_whitespace())
            .env("REDISCLI_HISTFILE", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("redis-cli starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // Answers are fewer than a pipe holds, so that writing first can't block both sides.
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        let done = child.wait_with_output().expect("it ends");
        let printed = [done.stdout, done.stderr].concat();
        String::from_utf8(printed).expect("text")
    }

    #[track_caller]
    fn expect(&self, arguments: &str, input: &str, expected: &str) {
        let printed = self.prints(arguments, input);
        assert_eq!(printed, expected, "redis-cli {arguments} <<< {input:?}");
    }

    fn everything(&self) {
        self.commands();
        self.interactive();
        self.mass_insertion();
        self.looking_around();
    }

    fn commands(&self) {
        for (arguments, input, expected) in [
            ("flushall", "", "OK\n"),
            ("set key value", "", "OK\n"),
            ("get key", "", "value\n"),
            ("get missing", "", "\n"),
            ("--no-raw get key", "", "\"value\"\n"),
            ("--no-raw get missing", "", "(nil)\n"),
            ("-r 3 incr n", "", "1\n2\n3\n"),
            ("-x set key", "from standard input", "OK\n"),
            ("get key", "", "from standard input\n"),
            ("hset h a 1 b 2", "", "2\n"),
            ("--csv hgetall h", "", "\"a\",\"1\",\"b\",\"2\"\n"),
            ("--json hgetall h", "", "{\"a\":\"1\",\"b\":\"2\"}\n"),
            ("--no-raw hmget h a x", "", "1) \"1\"\n2) (nil)\n"),
            // RESP3: a hash is a map, and a number with a point is a double.
            (
                "-3 --no-raw hgetall h",
                "",
                "1# \"a\" => \"1\"\n2# \"b\" => \"2\"\n",
            ),
            ("-3 --json hgetall h", "", "{\"a\":\"1\",\"b\":\"2\"}\n"),
            ("-n 3 set other x", "", "OK\n"),
            ("-n 3 dbsize", "", "1\n"),
            ("dbsize", "", "3\n"),
            (
                "nonsense",
                "",
                "ERR unknown command 'nonsense', with args beginning with: \n\n",
            ),
            (
                "hincrby h a x",
                "",
                "ERR value is not an integer or out of range\n\n",
            ),
        ] {
            self.expect(arguments, input, expected);
        }
    }

    /// Without a command it reads lines, and asks for COMMAND DOCS first: `help` prints from that answer.
    fn interactive(&self) {
        self.expect("flushall", "", "OK\n");
        self.expect(
            "",
            "set a 1\nget a\nset \"a b\" \"x\\ny\"\nmulti\nincr a\nget a\nexec\nselect 5\nget a\n",
            "OK\n1\nOK\nOK\nQUEUED\nQUEUED\n2\n2\nOK\n\n",
        );
        let help = self.prints("", "help hset\n");
        assert!(
            help.contains("HSET") && help.contains("key field value [field value ...]"),
            "{help}"
        );
        assert!(help.contains("since:\u{1b}[0m 2.0.0"), "{help}");
        let group = self.prints("", "help @hash\n");
        assert!(
            group.contains("HGETALL") && !group.contains("GETRANGE"),
            "{group}"
        );
    }

    fn mass_insertion(&self) {
        self.expect("flushall", "", "OK\n");
        let mut commands = String::new();
        for n in 0..1000 {
            let (key, value) = (format!("mass:{n}"), format!("value {n}"));
            commands += &format!(
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                key.len(),
                value.len()
            );
        }
        commands += "*2\r\n$4\r\nINCR\r\n$6\r\nmass:0\r\n";
        let printed = self.prints("--pipe", &commands);
        assert!(
            printed.contains("errors: 1, replies: 1001\n")
                && printed.contains("ERR value is not an integer or out of range\n"),
            "--pipe printed {printed:?}"
        );
        self.expect("dbsize", "", "1000\n");
        self.expect("get mass:999", "", "value 999\n");
    }

    /// Commands that explore a server: walks over the keys, INFO.
    fn looking_around(&self) {
        self.expect("flushall", "", "OK\n");
        self.expect("mset key:1 a key:2 bb key:3 ccc other x", "", "OK\n");
        self.expect("hset fields a 1 b 2 c 3", "", "3\n");
        let keys = self.prints("--scan --pattern key:*", "");
        let mut keys: Vec<&str> = keys.lines().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["key:1", "key:2", "key:3"]);

        let big = self.prints("--bigkeys", "");
        for line in [
            "Sampled 5 keys in the keyspace!",
            "Biggest string found '\"key:3\"' has 3 bytes",
            "1 hashs with 3 fields (20.00% of keys, avg size 3.00)",
            "4 strings with 7 bytes (80.00% of keys, avg size 1.75)",
            "0 lists with 0 items (00.00% of keys, avg size 0.00)",
        ] {
            assert!(
                big.lines().any(|printed| printed.contains(line)),
                "{line}: {big}"
            );
        }
        let memory = self.prints("--memkeys", "");
        assert!(
            memory.contains("Sampled 5 keys in the keyspace!") && memory.contains("1 hashs with"),
            "{memory}"
        );

        let info = self.prints("info", "");
        for heading in ["Server", "Clients", "Memory", "Stats", "Keyspace"] {
            assert!(info.contains(&format!("# {heading}\r\n")), "{info}");
        }
        for line in info.lines() {
            assert!(
                line.is_empty() || line.starts_with("# ") || line.contains(':'),
                "INFO has a line that nothing can parse: {line:?}"
            );
        }
        assert!(info.contains("redis_version:7.0."), "{info}");
        assert!(
            info.contains("db0:keys=5,expires=0,avg_ttl=0\r\n"),
            "{info}"
        );
    }
}
