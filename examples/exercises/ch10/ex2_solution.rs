//! 10.2, a solution: a request that was sent may have been executed, so only reads are retried.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let (verb, fate) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = if may_be_sent_again(verb, fate) {
            "again"
        } else {
            "error"
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}

/// `unsent`: no connection could be made. `lost`: the connection ended before the answer. `half`: it ended in the middle
/// of the answer. `silent`: no byte came within the deadline.
fn may_be_sent_again(verb: &str, fate: &str) -> bool {
    match fate {
        "unsent" => true,
        "lost" | "half" => matches!(verb, "get" | "gets"),
        _ => false,
    }
}
