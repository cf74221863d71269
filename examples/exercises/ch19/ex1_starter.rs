//! 19.1: a shop, its database and its cache, each command in a line. `restart` stands for the end of the process and its
//! next start.
//!
//! This version forgets changes that were not reported yet. Let it forget none.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// The part that survives a restart.
#[derive(Default)]
struct Database {
    prices: HashMap<String, String>,
}

/// The memory of the shop's process.
#[derive(Default)]
struct Shop {
    /// Products that have changed and were not reported yet.
    changed: Vec<String>,
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let (mut database, mut shop) = (Database::default(), Shop::default());
    // Another process: it survives, too.
    let mut cache: HashMap<String, String> = HashMap::new();
    database.prices.insert("jam".into(), "3.69".into());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["read", product] => match cache.get(product) {
                Some(price) => format!("{price} from the cache"),
                None => {
                    let price = database.prices.get(product).cloned().unwrap_or_default();
                    cache.insert(product.into(), price.clone());
                    format!("{price} from the database")
                }
            },
            ["change", product, price] => {
                database.prices.insert(product.into(), price.into());
                shop.changed.push(product.into());
                "changed".into()
            }
            ["report"] => {
                let reported = shop.changed.len();
                for product in shop.changed.drain(..) {
                    cache.remove(&product);
                }
                format!("{reported} reported")
            }
            ["restart"] => {
                shop = Shop::default();
                "started".into()
            }
            _ => "not a command".into(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
