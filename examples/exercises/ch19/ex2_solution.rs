//! 19.2, a solution: a value has the number of the other product, whose name has a key of its own.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

#[derive(Clone)]
struct Product {
    name: String,
    /// The product that is bought together with it.
    together: usize,
}

/// The database, the cache of its rows, and the number of rows that were read.
struct Shop {
    database: HashMap<usize, Product>,
    cache: HashMap<usize, Product>,
    reads: usize,
}

impl Shop {
    fn product(&mut self, number: usize) -> Product {
        let (database, reads) = (&self.database, &mut self.reads);
        let cached = self.cache.entry(number).or_insert_with(|| {
            *reads += 1;
            database[&number].clone()
        });
        cached.clone()
    }
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let product = |name: &str, together| Product {
        name: name.into(),
        together,
    };
    let mut shop = Shop {
        database: HashMap::from([(1, product("Apple jam", 2)), (2, product("Plum tea", 1))]),
        cache: HashMap::new(),
        reads: 0,
    };
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse().unwrap_or_default();
        let answer = match command {
            "reads" => shop.reads.to_string(),
            "page" | "rename" if !shop.database.contains_key(&number) => "no such product".into(),
            "page" => {
                let Product { name, together } = shop.product(number);
                let together = shop.product(together).name;
                format!("{name}, bought together with {together}")
            }
            "rename" => {
                let renamed = shop.database.entry(number);
                renamed.and_modify(|product| product.name = name.into());
                shop.cache.remove(&number);
                "renamed".into()
            }
            _ => "not a command".into(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
