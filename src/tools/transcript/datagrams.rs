//! A conversation over UDP: each line that sends is a datagram, and the bytes of the datagrams that come back are
//! compared in their order, headers included.
//!
//! UDP has no end of a connection. When the conversation is over, one more request is sent. A server that answers
//! datagrams in their order has then sent everything before.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::time::Duration;

use super::target::{Connection, Received};

/// Bytes of the longest datagram.
const LONGEST: usize = 64 * 1024;

/// The id of the last request. A transcript doesn't use it.
const LAST: [u8; 2] = [0xff, 0xff];

/// A socket that is connected to a server.
pub(super) struct DatagramConnection {
    socket: UdpSocket,
    finished: bool,
}

impl DatagramConnection {
    pub(super) fn open(address: &str) -> io::Result<Box<dyn Connection>> {
        let (v4, v6) = ("0.0.0.0:0", "[::]:0");
        let connect = |own: &str| {
            let socket = UdpSocket::bind(own)?;
            socket.connect(address)?;
            Ok(socket)
        };
        let socket = connect(v4).or_else(|_: io::Error| connect(v6))?;
        Ok(Box::new(DatagramConnection {
            socket,
            finished: false,
        }))
    }
}

impl Connection for DatagramConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send(bytes).map(drop)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        self.write(&[&LAST, &b"\0\0\0\x01\0\0version\r\n"[..]].concat())
    }

    fn read(&mut self, patience: Duration) -> io::Result<Received> {
        if patience.is_zero() {
            return Ok(Received::Nothing);
        }
        self.socket.set_read_timeout(Some(patience))?;
        let mut buffer = vec![0; LONGEST];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Received::Nothing);
            }
            Err(error) => return Err(error),
        };
        buffer.truncate(length);
        if self.finished && buffer.starts_with(&LAST) {
            return Ok(Received::End);
        }
        Ok(Received::Bytes(buffer))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::{
        Address, Mismatch, Outcome, RealTime, Remote, Run, Side, TranscriptDelivery, parse,
    };
    use super::*;

    /// The outcome of one conversation with a server that answers each datagram so many times.
    fn outcome(times: usize) -> Outcome {
        let text = "protocol: memcached\ntransport: udp\nshows: x\nstage: 15\nagrees: memcached 1.6\n\n\
            >x 0001 \"a\"\n>x 0002 \"b\"\n<x 0001 \"a\"\n<x 0002 \"b\"\n";
        let transcript = parse("t", "t.txt", text).expect("it is right");
        let server = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = server.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            let mut buffer = [0; 100];
            while let Ok((length, client)) = server.recv_from(&mut buffer) {
                for _ in 0..times {
                    let _ = server.send_to(&buffer[..length], client);
                }
            }
        });
        let time = RealTime {
            at_most: Duration::ZERO,
        };
        let patience = Duration::from_millis(if times == 0 { 50 } else { 60_000 });
        let target = Remote::new(Address::Tcp(address), &time, patience).over_udp(true);
        let run = Run {
            transcript: &transcript,
            side: Side::Real,
            delivery: TranscriptDelivery::AsWritten,
            patience,
        };
        run.against(&target)
    }

    #[test]
    fn each_line_is_a_datagram_and_no_more_may_come() {
        assert!(matches!(outcome(1), Outcome::Passed));
        let why = |times| match outcome(times) {
            Outcome::Failed(difference) => difference.why,
            other => panic!("{other:?}"),
        };
        assert!(matches!(why(0), Mismatch::Silence(_)));
        assert!(matches!(why(2), Mismatch::At(_)));
    }
}
