//! 15.1, a solution: a map from numbers to texts, for each request that isn't complete.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut requests: HashMap<String, BTreeMap<usize, String>> = HashMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let Some((request, number, total, text)) = datagram(&line) else {
            stream.write_all(b"not a datagram\r\n")?;
            continue;
        };
        let parts = requests.entry(request.to_owned()).or_default();
        parts.insert(number, text.to_owned());
        if parts.len() == total {
            let whole: String = parts.values().map(String::as_str).collect();
            stream.write_all(format!("{request}: {whole}\r\n").as_bytes())?;
            requests.remove(request);
        }
    }
    Ok(())
}

/// The parts of a line: the request, the datagram's number, their total, and the text.
fn datagram(line: &str) -> Option<(&str, usize, usize, &str)> {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [request, number, total, text] = words[..] else {
        return None;
    };
    let (number, total) = (number.parse().ok()?, total.parse().ok()?);
    (number < total).then_some((request, number, total, text))
}
