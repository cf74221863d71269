//! 11.1, the starter: the channel has three slots, and a client that finds no free one waits for
//! ever.
//!
//! `changed KEY` puts a key into the channel; `work` takes one out, as a worker would.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use crossbeam_channel::bounded;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let (changed, queue) = bounded(3);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match line.trim_end().split_once(' ') {
            Some(("changed", key)) => match changed.send(key.to_owned()) {
                Ok(()) => "taken".to_owned(),
                Err(_) => "SERVER_ERROR shutting down".to_owned(),
            },
            _ => match queue.try_recv() {
                Ok(key) => format!("delete {key}"),
                Err(_) => "nothing to do".to_owned(),
            },
        };
        stream.write_all(format!("{answer}\r\n").as_bytes())?;
    }
    Ok(())
}
