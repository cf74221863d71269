//! Transactions through the proxy, with one upstream and with a pool: Redis's answers if one server
//! has all keys, and otherwise no execution.

mod proxy_support;
mod support;

use larder::proxy::Protocol;
use proxy_support::{Client, TestProxy, Upstream, eventually, proxy, settings, upstream};

const EXECABORT: &str = "-EXECABORT Transaction discarded because of previous errors.\r\n";
const CROSSSLOT: &str =
    "-CROSSSLOT Keys in request belong to different upstreams; give them one {hash tag}\r\n";

struct Pool {
    _servers: Vec<Upstream>,
    proxy: TestProxy,
    /// A key of one server, and one of another.
    here: String,
    there: String,
}

fn pool() -> Pool {
    let servers = vec![upstream(Protocol::Resp), upstream(Protocol::Resp)];
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let proxy = proxy(settings(Protocol::Resp), &addresses);
    let mut client = proxy.connect();
    let mut direct = Client::connect(addresses[0]);
    let (mut here, mut there) = (String::new(), String::new());
    for number in 0.. {
        let key = format!("key{number}");
        client.ask(format!("SET {key} 0\r\n"), "+OK\r\n");
        direct.send(format!("EXISTS {key}\r\n"));
        match direct.line() == ":1" {
            true => here = key,
            false => there = key,
        }
        if !here.is_empty() && !there.is_empty() {
            break;
        }
    }
    client.ask(format!("DEL {here} {there}\r\n"), ":2\r\n");
    Pool {
        _servers: servers,
        proxy,
        here,
        there,
    }
}

#[test]
fn a_transaction_of_a_pool_is_executed_by_the_server_of_its_keys() {
    let pool = pool();
    let (here, there) = (&pool.here, &pool.there);
    let mut client = pool.proxy.connect();
    for key in [here, there] {
        client.ask(
            format!(
                "MULTI\r\nECHO x\r\nSET {key} 1\r\nPING\r\nINCR {key}\r\nEXEC\r\nGET {key}\r\n"
            ),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n\
             *4\r\n$1\r\nx\r\n+OK\r\n+PONG\r\n:2\r\n$1\r\n2\r\n",
        );
    }
    client.ask(
        format!("MGET {here} {there}\r\n"),
        "*2\r\n$1\r\n2\r\n$1\r\n2\r\n",
    );
}

#[test]
fn a_client_that_waits_for_each_answer_gets_it() {
    let pool = pool();
    let mut client = pool.proxy.connect();
    client.ask("MULTI\r\n", "+OK\r\n");
    client.ask("PING\r\n", "+QUEUED\r\n");
    client.ask(format!("SET {} 1\r\n", pool.here), "+QUEUED\r\n");
    client.ask("EXEC\r\n", "*2\r\n+PONG\r\n+OK\r\n");
}

#[test]
fn keys_of_two_servers_abort_a_transaction_and_nothing_of_it_is_executed() {
    let pool = pool();
    let (here, there) = (&pool.here, &pool.there);
    let mut client = pool.proxy.connect();
    let absent = format!("EXISTS {here} {there}\r\n");
    client.ask(
        format!("MULTI\r\nSET {here} 1\r\nSET {there} 1\r\nSET {here} 2\r\nEXEC\r\n{absent}"),
        format!("+OK\r\n+QUEUED\r\n{CROSSSLOT}+QUEUED\r\n{EXECABORT}:0\r\n"),
    );
    // The first command with keys, already.
    client.ask(
        format!("MULTI\r\nMSET {here} 1 {there} 1\r\nSET {here} 2\r\nEXEC\r\n{absent}"),
        format!("+OK\r\n{CROSSSLOT}+QUEUED\r\n{EXECABORT}:0\r\n"),
    );
    client.ask(
        format!("MULTI\r\nSET {here} 1\r\nSET {there} 1\r\nDISCARD\r\n{absent}PING\r\n"),
        format!("+OK\r\n+QUEUED\r\n{CROSSSLOT}+OK\r\n:0\r\n+PONG\r\n"),
    );
    for whole in ["DBSIZE", "FLUSHALL", "SCAN 0"] {
        client.send(format!(
            "MULTI\r\nSET {here} 1\r\n{whole}\r\nEXEC\r\n{absent}"
        ));
        client.expect("+OK\r\n+QUEUED\r\n");
        assert!(
            client
                .line()
                .ends_with("and a transaction is executed by one")
        );
        client.expect(format!("{EXECABORT}:0\r\n"));
    }
}

#[test]
fn a_watched_key_that_changes_aborts_a_transaction_in_a_pool_too() {
    let pool = pool();
    let (here, there) = (&pool.here, &pool.there);
    let (mut one, mut two) = (pool.proxy.connect(), pool.proxy.connect());
    for changes in [false, true] {
        one.ask(format!("WATCH {here}\r\n"), "+OK\r\n");
        // Keys that it reads meanwhile may be on any server.
        one.ask(
            format!("SET {there} 5\r\nGET {there}\r\n"),
            "+OK\r\n$1\r\n5\r\n",
        );
        one.ask(
            format!("EXISTS {here} {there}\r\n"),
            format!(":{}\r\n", 1 + usize::from(changes)),
        );
        one.ask(format!("WATCH {there}\r\n"), CROSSSLOT);
        if changes {
            two.ask(format!("SET {here} 7\r\n"), "+OK\r\n");
        }
        let outcome = match changes {
            false => "*1\r\n+OK\r\n",
            true => "*-1\r\n",
        };
        one.ask(
            format!("MULTI\r\nSET {here} 1\r\nEXEC\r\n"),
            format!("+OK\r\n+QUEUED\r\n{outcome}"),
        );
    }
    one.ask(
        format!("WATCH {here}\r\nUNWATCH\r\nGET {there}\r\n"),
        "+OK\r\n+OK\r\n$1\r\n5\r\n",
    );
    two.ask(format!("WATCH {here} {there}\r\n"), CROSSSLOT);
}

#[test]
fn a_command_that_the_server_refuses_aborts_a_transaction() {
    let pool = pool();
    let single = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[single.address]);
    let wrong = "-ERR wrong number of arguments for 'get' command\r\n";
    for mut client in [Client::connect(single.address), proxy.connect()] {
        client.ask(
            "MULTI a\r\nEXEC\r\n",
            "-ERR wrong number of arguments for 'multi' command\r\n-ERR EXEC without MULTI\r\n",
        );
        client.ask(
            "MULTI\r\nGET\r\nPING\r\nEXEC\r\n",
            format!("+OK\r\n{wrong}+QUEUED\r\n{EXECABORT}"),
        );
    }
    let mut client = pool.proxy.connect();
    client.ask(
        format!("MULTI\r\nSET {} 1\r\nGET\r\nEXEC\r\n", pool.here),
        format!("+OK\r\n+QUEUED\r\n{wrong}{EXECABORT}"),
    );
    // Before a key decides the server, only EXEC can report the error.
    client.ask(
        "MULTI\r\nGET\r\nPING\r\nEXEC\r\n",
        format!("+OK\r\n+QUEUED\r\n+QUEUED\r\n{EXECABORT}"),
    );
}

/// The same bytes with one upstream and with a pool, and from a real server without the proxy.
#[test]
fn commands_without_keys_are_answered_as_without_the_proxy() {
    let pool = pool();
    let single = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[single.address]);
    for mut client in [
        Client::connect(single.address),
        proxy.connect(),
        pool.proxy.connect(),
    ] {
        for (ask, answer) in [
            ("MULTI\r\nEXEC\r\n", "+OK\r\n*0\r\n".to_owned()),
            ("MULTI\r\nDISCARD\r\n", "+OK\r\n+OK\r\n".into()),
            (
                "MULTI\r\nMULTI\r\nEXEC\r\n",
                "+OK\r\n-ERR MULTI calls can not be nested\r\n*0\r\n".into(),
            ),
            (
                "MULTI\r\nWATCH a\r\nEXEC\r\n",
                "+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n*0\r\n".into(),
            ),
            (
                "MULTI\r\nPING\r\nECHO hi\r\nEXEC\r\n",
                "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$2\r\nhi\r\n".into(),
            ),
            ("EXEC\r\n", "-ERR EXEC without MULTI\r\n".into()),
            ("DISCARD\r\n", "-ERR DISCARD without MULTI\r\n".into()),
            ("UNWATCH\r\n", "+OK\r\n".into()),
            (
                "MULTI\r\nSELECT 3\r\nDISCARD\r\nSET a 0\r\n",
                "+OK\r\n+QUEUED\r\n+OK\r\n+OK\r\n".into(),
            ),
            (
                "MULTI\r\nSELECT 3\r\nSET a 3\r\nEXEC\r\nGET a\r\n",
                "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n$1\r\n3\r\n".into(),
            ),
            ("SELECT 0\r\nGET a\r\n", "+OK\r\n$1\r\n0\r\n".into()),
            (
                "MULTI\r\nRESET\r\nPING\r\n",
                "+OK\r\n+RESET\r\n+PONG\r\n".into(),
            ),
        ] {
            client.ask(ask, answer);
        }
        client.ask("MULTI\r\nQUIT\r\n", "+OK\r\n+OK\r\n");
        client.expect_end();
    }
}

#[test]
fn connections_of_transactions_are_closed_when_these_end() {
    let pool = pool();
    let mut client = pool.proxy.connect();
    let mut others: Vec<Client> = (0..20).map(|_| pool.proxy.connect()).collect();
    let connections = |client: &mut Client| -> usize {
        client.send("INFO proxy\r\n");
        let (_, _, lines) = (client.line(), client.line(), [client.line(), client.line()]);
        assert_eq!(client.line(), "");
        let count = |line: &String| -> usize {
            let mut pairs = line.split(',');
            let count = pairs.find_map(|pair| pair.strip_prefix("connections="));
            count.expect("a count").parse().expect("a number")
        };
        lines.iter().map(count).sum()
    };
    for other in &mut others {
        other.ask(
            format!("MULTI\r\nSET {} 1\r\n", pool.here),
            "+OK\r\n+QUEUED\r\n",
        );
    }
    let before = connections(&mut client);
    assert!(before >= 20, "{before}");
    for other in &mut others {
        other.ask("EXEC\r\n", "*1\r\n+OK\r\n");
    }
    eventually("their end", || connections(&mut client) == before - 20);
}

#[test]
fn commands_about_one_server_get_an_error_in_a_pool() {
    let pool = pool();
    let mut client = pool.proxy.connect();
    for (ask, answer) in [
        ("MONITOR", "-ERR MONITOR shows the commands of one server"),
        (
            "CLIENT TRACKING ON",
            "-ERR CLIENT TRACKING follows the keys of one server",
        ),
    ] {
        client.ask(
            format!("{ask}\r\n"),
            format!("{answer}, and the proxy has several: ask that server itself\r\n"),
        );
    }
}

// SELECT and HELLO changed the proxy's session when they were seen, although they were only queued.
#[test]
fn a_transaction_that_is_not_executed_changes_nothing_of_the_session() {
    let server = upstream(Protocol::Resp);
    if !server.is_real() {
        return;
    }
    let pool = pool();
    let single = proxy(settings(Protocol::Resp), &[server.address]);
    for (proxy, key) in [(&single, "v"), (&pool.proxy, &pool.here[..])] {
        let mut client = proxy.connect();
        let mut other = proxy.connect();
        for (transaction, replies) in [
            (
                format!("SELECT 2\r\nGET {key}\r\nGET\r\nEXEC"),
                vec!["+QUEUED", "+QUEUED", "-ERR", "-EXECABORT"],
            ),
            (
                format!("GET {key}\r\nHELLO 3\r\nSELECT 2\r\nDISCARD"),
                vec!["+QUEUED", "+QUEUED", "+QUEUED", "+OK"],
            ),
            (
                "SELECT 2\r\nEXEC x".to_owned(),
                vec!["+QUEUED", "-EXECABORT"],
            ),
            (
                format!("SELECT 2\r\nGET {key}\r\nEXEC x"),
                vec!["+QUEUED", "+QUEUED", "-EXECABORT"],
            ),
        ] {
            client.send(format!("MULTI\r\n{transaction}\r\n"));
            client.expect("+OK\r\n");
            for reply in replies {
                let line = client.line();
                assert!(line.starts_with(reply), "{transaction}: {line}");
            }
            client.ask(format!("SET {key} 1\r\n"), "+OK\r\n");
            // In database 0, and in RESP2.
            other.ask(format!("GET {key}\r\nDEL {key}\r\n"), "$1\r\n1\r\n:1\r\n");
            client.ask(format!("GET {key}\r\n"), "$-1\r\n");
        }
        // A key that was watched has changed.
        client.ask(format!("WATCH {key}\r\n"), "+OK\r\n");
        other.ask(format!("SET {key} 2\r\n"), "+OK\r\n");
        client.ask(
            format!("MULTI\r\nSELECT 2\r\nGET {key}\r\nEXEC\r\nGET {key}\r\n"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n$1\r\n2\r\n",
        );
        // Executed commands change the session, except for failed ones.
        client.ask(
            format!("MULTI\r\nGET {key}\r\nSELECT 2\r\nEXEC\r\nGET {key}\r\nSELECT 0\r\n"),
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n2\r\n+OK\r\n$-1\r\n+OK\r\n",
        );
        client.send(format!(
            "MULTI\r\nGET {key}\r\nSELECT 99\r\nEXEC\r\nGET {key}\r\n"
        ));
        client.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n2\r\n");
        assert!(client.line().starts_with("-ERR "));
        client.expect("$1\r\n2\r\n");
        client.ask(format!("DEL {key}\r\n"), ":1\r\n");
    }
}

// The proxy answered with an error and left the transaction open; Redis closes it.
#[test]
fn exec_with_arguments_ends_the_transaction() {
    let pool = pool();
    let mut client = pool.proxy.connect();
    let abort = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n";
    client.ask("MULTI\r\nEXEC x\r\n", format!("+OK\r\n{abort}"));
    let key = &pool.here;
    client.ask(format!("SET {key} 1\r\nDEL {key}\r\n"), "+OK\r\n:1\r\n");
}

#[test]
fn reset_and_quit_leave_a_transaction_and_a_watch() {
    let pool = pool();
    let (here, there) = (&pool.here, &pool.there);
    let mut client = pool.proxy.connect();
    client.ask(
        format!("SELECT 3\r\nWATCH {here}\r\nMULTI\r\nSET {here} 1\r\nRESET\r\nGET {here}\r\nSET {there} 2\r\nDEL {there}\r\n"),
        "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+RESET\r\n$-1\r\n+OK\r\n:1\r\n",
    );
    client.ask(
        format!(
            "WATCH {here}\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nUNWATCH\r\nCLIENT GETNAME\r\n"
        ),
        "+OK\r\n+OK\r\n$2\r\nme\r\n+OK\r\n$2\r\nme\r\n",
    );
    client.ask(
        format!("MULTI\r\nSET {here} 1\r\nCLIENT REPLY OFF\r\nEXEC\r\n"),
        format!(
            "+OK\r\n+QUEUED\r\n-ERR this command is not possible through a proxy\r\n{EXECABORT}"
        ),
    );
    client.ask(
        format!("MULTI\r\nSET {here} 1\r\nQUIT\r\n"),
        "+OK\r\n+QUEUED\r\n+OK\r\n",
    );
    client.expect_end();
}
