//! 10.1, a solution: an answer, and a probe that is answered, begin the count anew.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

pub(crate) fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut server = Health::default();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match line.as_str() {
            "error" => server.error(),
            "answer" => server.answer(),
            "probe answered" => server.probe(true),
            "probe failed" => server.probe(false),
            _ => {}
        }
        let state = if server.ejected { "ejected" } else { "in use" };
        stream.write_all(format!("{state}\r\n").as_bytes())?;
    }
    Ok(())
}

#[derive(Default)]
struct Health {
    errors: u32,
    ejected: bool,
}

impl Health {
    fn error(&mut self) {
        self.errors += 1;
        self.ejected = self.errors >= 3;
    }

    /// While it is ejected only a probe counts: this may have been asked long before.
    fn answer(&mut self) {
        if !self.ejected {
            self.errors = 0;
        }
    }

    fn probe(&mut self, answered: bool) {
        if answered {
            *self = Health::default();
        }
    }
}
