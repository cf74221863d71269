//! Locks, and values of Rust types.

use std::collections::BTreeMap;
use std::time::Duration;

use larder::client::{Cache, Client, Cluster, ErrorKind, JsonValues, Lock, Protocol};
use larder::{Placement, Server};

use crate::patient;
use crate::proxy_support::{Real, list};
use crate::support::skip;

const MINUTE: Duration = Duration::from_secs(60);

/// A larder whose clock stands still, and two clients of it.
fn server_and_clients() -> (Server, Client, Client) {
    let server = Server::builder().manual_clock().start().expect("ports");
    let address = server.memcached_addr().to_string();
    let [one, another] = [(); 2].map(|()| Client::with_settings(&address, patient()));
    (server, one, another)
}

#[track_caller]
fn acquire<C: Cache>(cache: &C) -> Lock<'_, C> {
    let acquired = Lock::acquire(cache, "lock", MINUTE).expect("an answer");
    acquired.expect("nobody holds it")
}

#[track_caller]
fn is_held_by_another(cache: &impl Cache) {
    let acquired = Lock::acquire(cache, "lock", MINUTE).expect("an answer");
    assert!(acquired.is_none(), "another holds it");
}

#[test]
fn a_lock_has_one_holder_until_it_is_released() {
    let (_server, one, another) = server_and_clients();
    let lock = acquire(&one);
    is_held_by_another(&another);
    is_held_by_another(&one);
    assert!(lock.release().expect("an answer"));
    let lock = acquire(&another);
    is_held_by_another(&one);
    assert!(lock.release().expect("an answer"));
}

#[test]
fn a_lock_ends_with_its_lifetime_unless_it_is_extended() {
    let (server, one, another) = server_and_clients();
    let lock = acquire(&one);
    server.advance(MINUTE / 2);
    assert!(lock.extend(MINUTE).expect("an answer"));
    server.advance(MINUTE / 2);
    is_held_by_another(&another);
    server.advance(MINUTE / 2);
    let next = acquire(&another);
    // The first holder notices, and changes nothing.
    assert!(!lock.extend(MINUTE).expect("an answer"));
    assert!(!lock.release().expect("an answer"));
    is_held_by_another(&one);
    assert!(next.release().expect("an answer"));
}

#[test]
fn a_lock_that_the_cache_forgets_is_noticed() {
    let (_server, one, another) = server_and_clients();
    let lock = acquire(&one);
    another.flush().expect("an answer");
    assert!(!lock.extend(MINUTE).expect("an answer"));
    assert!(!lock.release().expect("an answer"));
    assert_eq!(another.get("lock").expect("an answer"), None);
}

#[test]
fn one_of_many_threads_holds_a_lock() {
    let (_server, one, another) = server_and_clients();
    let acquired: usize = std::thread::scope(|scope| {
        let threads = [&one, &another, &one, &another];
        let threads = threads.map(|client| {
            scope.spawn(|| {
                Lock::acquire(client, "lock", MINUTE)
                    .expect("an answer")
                    .is_some()
            })
        });
        let held = threads.map(|thread| thread.join().expect("no panic"));
        held.into_iter().filter(|held| *held).count()
    });
    assert_eq!(acquired, 1);
}

#[test]
fn locks_work_with_memcached() {
    let Some(real) = Real::start("memcached") else {
        skip!("memcached is not installed");
    };
    let cluster = Cluster::with_settings(&list(&[real.address]), Placement::Ketama, patient());
    let lock = acquire(&cluster);
    is_held_by_another(&cluster);
    assert!(lock.extend(MINUTE).expect("an answer"));
    assert!(lock.release().expect("an answer"));
    assert!(acquire(&cluster).release().expect("an answer"));
}

#[test]
fn resp_has_no_locks() {
    let server = Server::start().expect("free ports");
    let resp = patient().protocol(Protocol::Resp);
    let client = Client::with_settings(&server.resp_addr().to_string(), resp);
    let error = Lock::acquire(&client, "lock", MINUTE).expect_err("it has none");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(client.get("lock").expect("an answer"), None);
}

type Prices = BTreeMap<String, u32>;

fn store_prices(cache: &impl Cache) {
    assert_eq!(cache.get_json::<Prices>("prices").expect("an answer"), None);
    let prices = Prices::from([("lamp".to_owned(), 1900)]);
    assert!(cache.add_json("prices", &prices, None).expect("an answer"));
    assert!(!cache.add_json("prices", &prices, None).expect("an answer"));
    assert_eq!(cache.get_json("prices").expect("an answer"), Some(prices));
    cache
        .set_json("prices", &Prices::new(), None)
        .expect("stored");
    let item = cache.get("prices").expect("an answer");
    assert_eq!(item, Some("{}".into()));
}

#[test]
fn values_of_types_are_stored_as_json() {
    let (server, client, _) = server_and_clients();
    store_prices(&client);
    let add = |prices: Option<Prices>| {
        let mut prices = prices?;
        prices.insert(format!("lamp {}", prices.len()), 1900);
        Some(prices)
    };
    let missing = client.update_json("none", None, add).expect("an answer");
    assert_eq!(missing, None);
    client.update_json("prices", None, add).expect("stored");
    let prices = client.update_json("prices", None, add).expect("stored");
    assert_eq!(client.get_json("prices").expect("an answer"), prices);
    assert_eq!(prices.map(|prices| prices.len()), Some(2));

    let resp = patient().protocol(Protocol::Resp);
    let resp = Client::with_settings(&server.resp_addr().to_string(), resp);
    resp.flush().expect("an answer");
    store_prices(&resp);
}

#[test]
fn a_value_that_does_not_fit_its_type_is_an_error_that_names_the_server() {
    let (_server, client, _) = server_and_clients();
    for text in ["", "{", "[]", "{\"lamp\":-1}"] {
        client.set("prices", text, None).expect("stored");
        let read = client.get_json::<Prices>("prices").expect_err(text);
        let update = client.update_json::<Prices>("prices", None, |_| panic!("not asked"));
        let update = update.expect_err(text);
        for error in [read, update] {
            assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
            let start = format!("a value of {} is unusable: ", client.address());
            assert!(error.to_string().starts_with(&start), "{error}");
        }
        assert_eq!(client.get("prices").expect("an answer"), Some(text.into()));
    }
}
