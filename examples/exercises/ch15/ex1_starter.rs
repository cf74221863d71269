//! 15.1, the starter: joins datagrams in the order of their arrival.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut requests: HashMap<String, Vec<String>> = HashMap::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let [request, _number, total, text] = words[..] else {
            stream.write_all(b"not a datagram\r\n")?;
            continue;
        };
        let parts = requests.entry(request.to_owned()).or_default();
        parts.push(text.to_owned());
        if parts.len().to_string() == total {
            stream.write_all(format!("{request}: {}\r\n", parts.concat()).as_bytes())?;
            requests.remove(request);
        }
    }
    Ok(())
}
