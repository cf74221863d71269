//! Many readers and writers at the same time: no old price stays in the cache.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::running::{RunningShop, until};

/// The products that are read and changed. The query takes long enough for changes to fall into it.
const PRODUCTS: [u32; 3] = [1, 2, 3];

/// Changes of each writer.
const CHANGES: u32 = 12;

/// The price of a product, as a read without the cache finds it. The switch is off.
fn in_the_database(shop: &RunningShop, id: u32) -> Value {
    let read = shop.product(id);
    assert_eq!(read["source"], "database");
    read["product"]["price"].clone()
}

#[test]
fn after_many_changes_the_cache_has_the_prices_of_the_database() {
    let shop = RunningShop::start(&[]);
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4u32)
            .map(|writer| {
                let shop = &shop;
                scope.spawn(move || {
                    for n in 0..CHANGES {
                        let id = PRODUCTS[(writer + n) as usize % PRODUCTS.len()];
                        let form = format!("price={}", 1 + writer * CHANGES + n);
                        assert_eq!(shop.post(&format!("/products/{id}"), &form).status, 200);
                    }
                })
            })
            .collect();
        for reader in 0..6 {
            let (shop, is_done) = (&shop, &is_done);
            scope.spawn(move || {
                for n in reader.. {
                    shop.product(PRODUCTS[n % PRODUCTS.len()]);
                    if is_done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
        for writer in writers {
            writer.join().expect("each change is answered");
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_eq!(shop.live()["changes"], 4 * CHANGES);
    shop.reports_all();

    shop.post("/cache", "state=off");
    let prices = PRODUCTS.map(|id| in_the_database(&shop, id));
    shop.post("/cache", "state=on");
    // The last deletes may still be on their way. An old value that was stored after them would stay for ten minutes.
    until("the cache has these prices", || {
        let cached = PRODUCTS.map(|id| shop.product(id));
        let is_current = cached
            .each_ref()
            .map(|read| read["product"]["price"].clone())
            == prices;
        is_current && cached.iter().all(|read| read["source"] == "cache")
    });
}

/// In each round the cache is empty, so reads take as long as the query. Changes fall into them, which is the race of stale fills:
/// a shop that fills its cache itself, without a lease, fails here in one of the first rounds.
#[test]
fn changes_during_a_read_are_not_lost() {
    let shop = RunningShop::start(&[]);
    let change = |price: u32| {
        let changed = shop.post("/products/1", &format!("price={price}"));
        assert_eq!(changed.status, 200, "{changed:?}");
    };
    for round in 1..=10 {
        change(1);
        shop.reports_all();
        until("the cache is empty", || shop.live()["larder"]["items"] == 0);
        let last = 10 * round + 5;
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| shop.product(1));
            }
            (10 * round..=last).for_each(change);
        });
        shop.reports_all();
        until(format!("the last price of round {round}"), || {
            let read = shop.product(1);
            read["source"] == "cache" && read["product"]["price"] == 100 * last
        });
    }
}
