//! 19.1, a solution: the outbox is in the database.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

/// The part that survives a restart.
#[derive(Default)]
struct Database {
    prices: HashMap<String, String>,
    /// Products that have changed and were not reported yet, written in the transaction of the change.
    outbox: Vec<String>,
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut database = Database::default();
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
                database.outbox.push(product.into());
                "changed".into()
            }
            ["report"] => {
                let reported = database.outbox.len();
                for product in database.outbox.drain(..) {
                    cache.remove(&product);
                }
                format!("{reported} reported")
            }
            // The process has no memory that matters.
            ["restart"] => "started".into(),
            _ => "not a command".into(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
