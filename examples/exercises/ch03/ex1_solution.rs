//! 3.1, a solution: the pattern takes the line whole and any key; the number is checked as a
//! number.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::LazyLock;

use regex::bytes::Regex;

static INCR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)\Aincr ([^ \x00]{1,250}) ([^ ]+)\r\n\z").expect("a pattern")
});

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut counters: HashMap<Vec<u8>, u64> = HashMap::new();
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(2048).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let reply = match INCR.captures(&line) {
            None => "ERROR\r\n".to_owned(),
            Some(found) => match String::from_utf8_lossy(&found[2]).parse::<u64>() {
                Err(_) => "CLIENT_ERROR invalid numeric delta argument\r\n".to_owned(),
                Ok(by) => {
                    let counter = counters.entry(found[1].to_vec()).or_default();
                    *counter = counter.wrapping_add(by);
                    format!("{counter}\r\n")
                }
            },
        };
        stream.write_all(reply.as_bytes())?;
    }
}
