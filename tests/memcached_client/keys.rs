//! The lists of keys of larder, memcached and Redis.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use larder::Server;
use larder::client::{Cache, Client, Error, ErrorKind, KeyEntry, Protocol, Settings};

use crate::misbehaving::{first_is_bad, hold};
use crate::patient;
use crate::proxy_support::Real;
use crate::support::skip;

const HOUR: Duration = Duration::from_secs(3600);

/// Lists 2,000 keys, of which every second lives for an hour.
fn list_keys(address: String, settings: Settings) -> Result<(), Error> {
    let client = Client::with_settings(&address, settings);
    assert_eq!(client.keys().count(), 0);
    let value = [b'x'; 100];
    for number in 0..2000 {
        let lifetime = (number % 2 == 0).then_some(HOUR);
        client.set(format!("a%20key:{number}"), &value[..], lifetime)?;
    }
    let entries = client.keys().collect::<Result<Vec<KeyEntry>, Error>>()?;
    // A list of RESP may name a key twice.
    let entries: BTreeMap<Vec<u8>, KeyEntry> = entries
        .into_iter()
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    assert_eq!(entries.len(), 2000);
    for number in 0..2000 {
        let entry = &entries[format!("a%20key:{number}").as_bytes()];
        assert!(entry.size.is_some_and(|size| size > 100), "{entry:?}");
        match number % 2 {
            0 => {
                let lifetime = entry.lifetime.expect("it expires");
                // memcached's clock may be a second ahead.
                assert!(lifetime <= HOUR + Duration::from_secs(2), "{entry:?}");
                assert!(lifetime > HOUR / 2, "{entry:?}");
            }
            _ => assert_eq!(entry.lifetime, None, "{entry:?}"),
        }
    }
    // A list may be left, and the client goes on.
    for entry in client.keys().take(3) {
        let entry = entry?;
        assert!(client.delete(&entry.key)?, "{entry:?}");
    }
    client.flush()?;
    assert_eq!(client.keys().count(), 0);
    Ok(())
}

fn resp() -> Settings {
    patient().protocol(Protocol::Resp)
}

#[test]
fn larder_lists_its_keys_in_both_protocols() {
    let server = Server::start().expect("free ports");
    list_keys(server.memcached_addr().to_string(), patient()).expect("answers");
    list_keys(server.resp_addr().to_string(), resp()).expect("answers");
}

#[test]
fn memcached_lists_its_keys() {
    let Some(real) = Real::start("memcached") else {
        skip!("memcached is not installed");
    };
    list_keys(real.address.to_string(), patient()).expect("answers");
}

#[test]
fn redis_lists_its_keys() {
    let Some(real) = Real::start("redis-server") else {
        skip!("redis-server is not installed");
    };
    list_keys(real.address.to_string(), resp()).expect("answers");
}

#[test]
fn a_server_that_can_not_make_a_list_now_or_in_this_way_is_asked_again() {
    for reply in [
        "BUSY currently processing crawler request\r\n",
        "ERROR locked try again later\r\n",
        "ERROR\r\n",
        "BADCLASS invalid class id\r\n",
    ] {
        let server = first_is_bad(move |mut stream| {
            let _ = stream.write_all(reply.as_bytes());
            hold(stream);
        });
        let client = Client::with_settings(&server.address, patient());
        assert_eq!(client.keys().count(), 0, "{reply:?}");
    }
}

#[test]
fn a_list_ends_with_an_error() {
    for (reply, kind) in [
        (
            "key=a exp=-1 size=1\nkey=% exp=-1 size=1\n",
            ErrorKind::Protocol,
        ),
        ("key=a exp=-1 size=1\nERROR\r\n", ErrorKind::Refused),
    ] {
        let server = first_is_bad(move |mut stream| {
            let _ = stream.write_all(reply.as_bytes());
            hold(stream);
        });
        let client = Client::with_settings(&server.address, patient());
        let mut keys = client.keys();
        let error = keys.find_map(Result::err).expect(reply);
        assert_eq!(error.kind(), kind, "{reply:?}: {error}");
        assert!(keys.next().is_none());
        assert_eq!(client.keys().count(), 0, "the next list is answered");
    }
}
