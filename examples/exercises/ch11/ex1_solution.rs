//! 11.1, a solution: `try_send` returns the key instead of waiting, and the client gets an error.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use crossbeam_channel::{TrySendError, bounded};

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let (changed, queue) = bounded(3);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let answer = match line.trim_end().split_once(' ') {
            Some(("changed", key)) => match changed.try_send(key.to_owned()) {
                Ok(()) => "taken".to_owned(),
                Err(TrySendError::Full(_)) => "SERVER_ERROR full, try again".to_owned(),
                Err(TrySendError::Disconnected(_)) => "SERVER_ERROR shutting down".to_owned(),
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
