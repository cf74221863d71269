//! Writes the traffic as a transcript, so that an observed conversation becomes a test.
//!
//! Each frame is written when it is complete, so a recording can be read at any time. The first connection has no name
//! in the file, the others are `b`, `c`, … and `c26` and so on.

use std::io::{self, Write};

use super::conversation::Direction;
use crate::tools::transcript::{Protocol, binary_frame, readable};

/// A transcript that is being written.
pub(super) struct Recording<W: Write> {
    out: W,
    last: Option<Direction>,
}

impl<W: Write> Recording<W> {
    /// Begins a file: the header says that it hasn't been compared with a real server yet.
    pub(super) fn begin(
        mut out: W,
        protocol: Protocol,
        upstream: &str,
    ) -> io::Result<Recording<W>> {
        // The last stage of the book has all commands.
        writeln!(
            out,
            "# Recorded by larder tap. Name the real server in `agrees` if this one is.\nprotocol: {protocol}\n\
             shows: a recorded conversation with {upstream}\nstage: 15\nagrees: larder only: recorded from {upstream}\n"
        )?;
        out.flush()?;
        Ok(Recording { out, last: None })
    }

    /// Adds the bytes of a frame of the connection with this number, from 1.
    pub(super) fn frame(
        &mut self,
        connection: u64,
        direction: Direction,
        bytes: &[u8],
    ) -> io::Result<()> {
        if self.last == Some(Direction::Reply) && direction == Direction::Request {
            writeln!(self.out)?;
        }
        self.last = Some(direction);
        let (name, mark) = (name(connection), mark(direction));
        if let Some(frame) = binary_frame(bytes) {
            writeln!(self.out, "{name}{mark}x {frame}")?;
            return self.out.flush();
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\r\n") {
                Some([]) => writeln!(self.out, "{name}{mark}")?,
                Some(line) => writeln!(self.out, "{name}{mark} {}", text(line))?,
                None => writeln!(self.out, "{name}{mark}- {}", text(piece))?,
            }
        }
        self.out.flush()
    }

    /// The side that sends in this direction has closed the connection.
    pub(super) fn end(&mut self, connection: u64, direction: Direction) -> io::Result<()> {
        self.last = Some(direction);
        writeln!(self.out, "{}{}eof", name(connection), mark(direction))?;
        self.out.flush()
    }
}

fn mark(direction: Direction) -> char {
    match direction {
        Direction::Request => '>',
        Direction::Reply => '<',
    }
}

fn name(connection: u64) -> String {
    match connection {
        1 => String::new(),
        2..=26 => char::from(b'a' + (connection - 1) as u8).to_string(),
        more => format!("c{more}"),
    }
}

/// A line's text: a blank at its end could not be seen.
fn text(line: &[u8]) -> String {
    let text = readable(line);
    match text.strip_suffix(' ') {
        Some(before) => format!("{before}\\x20"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::transcript::parse;

    #[test]
    fn a_recording_is_a_transcript() {
        let mut file = Vec::new();
        let mut recording =
            Recording::begin(&mut file, Protocol::Memcached, "127.0.0.1:11211").expect("memory");
        let frames = [
            (
                1,
                Direction::Request,
                &b"set a 0 0 6\r\n\r\nb ${\x00\r\n"[..],
            ),
            (1, Direction::Reply, b"STORED\r\n"),
            (2, Direction::Request, b"get a \r\n"),
            (
                2,
                Direction::Reply,
                b"VALUE a 0 6\r\n\r\nb ${\x00\r\nEND\r\n",
            ),
        ];
        for (connection, direction, bytes) in frames {
            recording
                .frame(connection, direction, bytes)
                .expect("memory");
        }
        recording.end(2, Direction::Reply).expect("memory");
        let text = String::from_utf8(file).expect("text");
        let transcript = parse("tap", "tap.txt", &text).expect("it is a transcript");
        assert_eq!(transcript.connections, ["", "b"]);
        let sent: Vec<u8> = [frames[0].2, frames[2].2].concat();
        assert_eq!(transcript.sent(), sent);
        assert!(text.contains("b> get a\\x20\nb< VALUE a 0 6\n"), "{text}");
        assert!(text.ends_with("b< END\nb<eof\n"), "{text}");
    }
}
