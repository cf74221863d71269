//! The commands that mean the same in both protocols, and RESP's own.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder::client::{
    Cache, Client, Cluster, Error, ErrorKind, Item, MetaCommands, Protocol, RespReply, Settings,
};
use larder::{Placement, Server};

use crate::misbehaving::{FirstIsBad, first_is_bad_then, hold};
use crate::patient;
use crate::proxy_support::{Real, list};
use crate::support::skip;

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn settings() -> Settings {
    patient().protocol(Protocol::Resp)
}

fn client(address: SocketAddr) -> Client {
    Client::with_settings(&address.to_string(), settings())
}

/// The commands of both protocols about a key, of a [`Client`] or a [`Cluster`] without items.
macro_rules! use_the_commands_of_both_protocols {
    ($cache:expr) => {{
        let cache = $cache;
        assert_eq!(cache.get("a")?, None);
        assert_eq!(cache.get_and_touch("a", HOUR)?, None);
        assert!(!cache.replace("a", "0", HOUR)?);
        assert!(!cache.delete("a")? && !cache.touch("a", HOUR)? && !cache.touch("a", None)?);

        assert!(cache.add("a", "1", None)?);
        assert!(!cache.add("a", "2", HOUR)?);
        assert_eq!(cache.get("a")?, Some("1".into()));
        cache.set("a", "line\r\n$-1\r\n\0", HOUR)?;
        assert_eq!(cache.get("a")?, Some("line\r\n$-1\r\n\0".into()));
        assert!(cache.replace("a", "b", HOUR)?);
        assert_eq!(cache.get_and_touch("a", None)?, Some("b".into()));
        assert_eq!(cache.get_and_touch("a", HOUR)?, Some("b".into()));
        assert!(cache.touch("a", None)? && cache.touch("a", None)? && cache.touch("a", HOUR)?);

        cache.set("empty", "", None)?;
        let expected = [None, Some("b".into()), Some("".into()), Some("b".into())];
        assert_eq!(cache.get_many(&["no", "a", "empty", "a"])?, expected);
        assert_eq!(cache.get_many::<&str>(&[])?, []);
        assert!(cache.delete("a")? && !cache.delete("a")?);

        for lifetime in [Some(Duration::ZERO), Some(Duration::MAX), None] {
            cache.set("gone", "1", lifetime)?;
            let is_there = cache.get("gone")?.is_some();
            assert_eq!(is_there, lifetime != Some(Duration::ZERO), "{lifetime:?}");
        }
        assert!(cache.touch("gone", Some(Duration::ZERO))?);
        assert_eq!(cache.get("gone")?, None);
    }};
}

fn use_the_commands(client: &Client) -> Result<(), Error> {
    use_the_commands_of_both_protocols!(client);
    client.flush()?;
    assert_eq!(client.get("empty")?, None);
    let version = client.version()?;
    assert!(
        version.starts_with(|digit: char| digit.is_ascii_digit()),
        "{version}"
    );
    assert!(client.stats("")?.len() > 5);
    Ok(())
}

#[test]
fn they_work_with_larder_in_both_protocols() {
    let server = Server::start().expect("free ports");
    use_the_commands(&client(server.resp_addr())).expect("answers");
    let memcached = server.memcached_addr().to_string();
    use_the_commands(&Client::with_settings(&memcached, patient())).expect("answers");
}

#[test]
fn they_work_with_redis() {
    let Some(real) = Real::start("redis-server") else {
        skip!("redis-server is not installed");
    };
    use_the_commands(&client(real.address)).expect("answers");
}

#[test]
fn they_work_with_a_cluster() {
    let servers: Vec<Server> = (0..4).map(|_| Server::start().expect("ports")).collect();
    let addresses: Vec<_> = servers.iter().map(Server::resp_addr).collect();
    let cluster = Cluster::with_settings(&list(&addresses), Placement::Ketama, settings());
    let used = || -> Result<(), Error> {
        use_the_commands_of_both_protocols!(&cluster);
        Ok(())
    };
    used().expect("answers");

    let keys: Vec<String> = (0..1500).map(|number| format!("{number:0>200}")).collect();
    for key in keys.iter().step_by(3) {
        cluster.set(key, key.as_bytes(), None).expect("stored");
    }
    let items = cluster.get_many(&keys).expect("answers");
    for (number, (key, item)) in keys.iter().zip(items).enumerate() {
        let expected = (number % 3 == 0).then(|| Item::from(key.as_str()));
        assert_eq!(item, expected, "{number}");
    }
}

#[test]
fn a_lifetime_has_milliseconds() {
    let server = Server::builder().manual_clock().start();
    let server = server.expect("free ports");
    let client = client(server.resp_addr());
    let lifetime = Duration::from_millis(1500);
    client.set("key", "1", Some(lifetime)).expect("stored");
    server.advance(Duration::from_millis(1499));
    assert!(client.get("key").expect("an answer").is_some());
    server.advance(Duration::from_millis(1));
    assert_eq!(client.get("key").expect("an answer"), None);
}

#[test]
fn a_key_has_any_bytes() {
    let server = Server::start().expect("free ports");
    let client = client(server.resp_addr());
    for key in [&b""[..], b"a b\r\n\0", &[0xff; 1000]] {
        client.set(key, "1", None).expect("stored");
        assert!(client.get(key).expect("an answer").is_some());
    }
}

fn send_any_command(client: &Client) -> Result<(), Error> {
    assert_eq!(
        client.command(&["INCRBY", "n", "2"])?,
        RespReply::Integer(2)
    );
    assert_eq!(client.command(&["GET", "none"])?, RespReply::Null);
    assert_eq!(
        client.command(&["HSET", "hash", "a", "1", "b", "2"])?,
        RespReply::Integer(2)
    );
    // Commands that would change the next request's connection.
    assert_eq!(
        client.command(&["SELECT", "7"])?,
        RespReply::Status("OK".into())
    );
    client.command(&["MULTI"])?;
    assert_eq!(client.get("n")?, Some("2".into()));
    let text = |text: &str| RespReply::Bulk(text.into());
    let values = client.command(&["HVALS", "hash"])?;
    assert_eq!(values, RespReply::Array(vec![text("1"), text("2")]));

    let refused = client.get("hash").expect_err("it is no string");
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(
        refused.to_string().contains("answered `WRONGTYPE"),
        "{refused}"
    );
    assert_eq!(client.get_many(&["hash", "n"])?, [None, Some("2".into())]);
    assert!(!client.is_ejected());
    Ok(())
}

#[test]
fn any_command_can_be_sent_to_larder() {
    let server = Server::start().expect("free ports");
    send_any_command(&client(server.resp_addr())).expect("answers");
}

#[test]
fn any_command_can_be_sent_to_redis() {
    let Some(real) = Real::start("redis-server") else {
        skip!("redis-server is not installed");
    };
    send_any_command(&client(real.address)).expect("answers");
}

#[test]
fn what_the_protocol_does_not_have_is_not_sent() {
    let server = Server::start().expect("free ports");
    let resp = client(server.resp_addr());
    let flagged = Item {
        value: b"1".to_vec(),
        flags: 1,
    };
    for (what, outcome) in [
        ("flags of items", resp.set("key", flagged, None).err()),
        ("cas uniques", resp.gets("key").err()),
        ("cas uniques", resp.cas("key", "1", None, 1).err()),
        (
            "cas uniques",
            resp.update("key", None, |_| Some("1".into())).err(),
        ),
        ("append", resp.append("key", "1").err()),
        ("prepend", resp.prepend("key", "1").err()),
        ("incr", resp.incr("key", 1).err()),
        ("decr", resp.decr("key", 1).err()),
        ("meta commands", resp.meta_get("key", &["v"]).err()),
    ] {
        let error = outcome.expect(what);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let end = format!("is asked in RESP, where this client has no {what}");
        assert!(error.to_string().ends_with(&end), "{error}");
    }
    assert_eq!(resp.get("key").expect("an answer"), None);
    let memcached = Client::with_settings(&server.memcached_addr().to_string(), patient());
    let error = memcached.command(&["PING"]).expect_err("it is no command");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// A server whose first connection gets this reply. Later ones get a miss for each `GET` of `k`.
fn first_sends(reply: impl Into<String>) -> FirstIsBad {
    let reply = reply.into();
    let send = move |mut stream: TcpStream| {
        let _ = stream.write_all(reply.as_bytes());
        hold(stream);
    };
    first_is_bad_then(send, |line| match line {
        "k" => "$-1\r\n".to_owned(),
        _ => String::new(),
    })
}

#[test]
fn a_reply_that_does_not_fit_the_request_is_an_error() {
    for (reply, kind) in [
        ("+OK\r\n", ErrorKind::Protocol),
        (":1\r\n", ErrorKind::Protocol),
        ("*0\r\n", ErrorKind::Protocol),
        ("*1\r\n$1\r\nx\r\n", ErrorKind::Protocol),
        ("$1\r\nxyz", ErrorKind::Protocol),
        ("$-2\r\n", ErrorKind::Protocol),
        ("$x\r\n", ErrorKind::Protocol),
        ("\r\n", ErrorKind::Protocol),
        ("+OK\n", ErrorKind::Protocol),
        ("END\r\n", ErrorKind::Protocol),
        ("$67108865\r\n", ErrorKind::TooLong),
        ("$9223372036854775807\r\n", ErrorKind::TooLong),
        ("$9223372036854775808\r\n", ErrorKind::Protocol),
    ] {
        let server = first_sends(reply);
        let client = Client::with_settings(&server.address, settings());
        let error = client.get("k").expect_err(reply);
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert_eq!(client.get("k").expect("the second is good"), None);
    }
}

#[test]
fn arrays_that_do_not_end_are_errors() {
    for (reply, kind) in [
        ("*1\r\n".repeat(1000), ErrorKind::Protocol),
        (
            "*1000000000\r\n".to_owned() + &":1\r\n".repeat(1000),
            ErrorKind::TooLong,
        ),
    ] {
        let server = first_sends(reply);
        let limited = settings().max_value_size(10_000);
        let client = Client::with_settings(&server.address, limited);
        let error = client.get("k").expect_err("it doesn't end");
        assert_eq!(error.kind(), kind, "{error}");
    }
}
