//! 19.2: two products that are bought together, and a cache of values by product.
//!
//! A value of this version holds the name of the other product. A rename deletes the product's own key, and the other page keeps
//! the old name. Let both pages be right, with a delete of one key for each rename.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

struct Product {
    name: String,
    /// The product that is bought together with it.
    together: usize,
}

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let product = |name: &str, together| Product {
        name: name.into(),
        together,
    };
    let mut database = HashMap::from([(1, product("Apple jam", 2)), (2, product("Plum tea", 1))]);
    let mut cache: HashMap<usize, String> = HashMap::new();
    let mut reads = 0;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse().unwrap_or_default();
        let answer = match command {
            "reads" => reads.to_string(),
            "page" | "rename" if !database.contains_key(&number) => "no such product".into(),
            "page" => {
                let page = cache.entry(number).or_insert_with(|| {
                    reads += 1;
                    let product = &database[&number];
                    let together = &database[&product.together].name;
                    format!("{}, bought together with {together}", product.name)
                });
                page.clone()
            }
            "rename" => {
                database
                    .entry(number)
                    .and_modify(|product| product.name = name.into());
                cache.remove(&number);
                "renamed".into()
            }
            _ => "not a command".into(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
