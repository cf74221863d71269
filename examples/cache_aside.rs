//! Cache-aside with larder's client: a read that fills the cache, the race that leaves an old value there, and a lease that
//! prevents it. It starts a server of its own, makes the requests in the order of the race, and prints the outcome.

use std::cell::Cell;
use std::error::Error;
use std::time::Duration;

use larder::client::{Cache, Client, MetaCommands, MetaStatus};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A database with one row, the price of a lamp.
struct Database {
    price: Cell<u32>,
}

// ANCHOR: read
/// Reads the price from the cache. After a miss, it reads the database and fills the cache. `meanwhile` happens in between.
fn read(
    cache: &Client,
    database: &Database,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<u32> {
    if let Some(item) = cache.get("lamp")? {
        return Ok(String::from_utf8(item.value)?.parse()?);
    }
    let price = database.price.get();
    meanwhile()?;
    cache.set("lamp", price.to_string(), Some(Duration::from_secs(60)))?;
    Ok(price)
}
// ANCHOR_END: read

// ANCHOR: write
/// Changes the price, and then deletes the copy.
fn write(cache: &Client, database: &Database, price: u32) -> Result<()> {
    database.price.set(price);
    cache.delete("lamp")?;
    Ok(())
}
// ANCHOR_END: write

// ANCHOR: lease
/// The same as `read`, but a miss returns a lease, and the fill needs it.
fn read_with_lease(
    cache: &Client,
    database: &Database,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<u32> {
    // N30: after a miss, one client may fill the item, for 30 seconds. c: with this cas unique.
    let reply = cache.meta_get("lamp", &["v", "c", "N30"])?;
    let reply = reply.ok_or("with N, there is no miss")?;
    let (won, lost) = (reply.flag('W').is_some(), reply.flag('Z').is_some());
    if !won && !lost {
        let value = reply.value.unwrap_or_default();
        return Ok(String::from_utf8(value)?.parse()?);
    }
    let price = database.price.get();
    meanwhile()?;
    // A client that didn't win uses the row, and leaves the fill to the one that did.
    if let Some(unique) = reply.flag('c').filter(|_| won) {
        let condition = format!("C{unique}");
        let fill = cache.meta_set("lamp", price.to_string(), &[&condition, "T60"])?;
        if fill.status != MetaStatus::Done {
            println!("  the fill with {price} is refused: {:?}", fill.status);
        }
    }
    Ok(price)
}
// ANCHOR_END: lease

// ANCHOR: race
fn main() -> Result<()> {
    let server = larder::Server::start()?;
    let cache = Client::new(&server.memcached_addr().to_string());
    let database = Database {
        price: Cell::new(19),
    };
    let ignored = || Ok(());

    println!("without a lease, the price changes from 19 to 24 during a read:");
    read(&cache, &database, || write(&cache, &database, 24))?;
    let cached = read(&cache, &database, ignored)?;
    println!(
        "  the database has {}, the cache {cached}",
        database.price.get()
    );

    cache.delete("lamp")?;
    println!("with a lease, the price changes from 24 to 29 during a read:");
    read_with_lease(&cache, &database, || write(&cache, &database, 29))?;
    read_with_lease(&cache, &database, ignored)?;
    let cached = read_with_lease(&cache, &database, ignored)?;
    println!(
        "  the database has {}, the cache {cached}",
        database.price.get()
    );
    Ok(())
}
// ANCHOR_END: race
