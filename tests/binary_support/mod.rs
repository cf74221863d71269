//! A client of memcached's binary protocol: requests by their parts, and replies in lines.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use larder::protocol::memcached::binary::{HEADER_LENGTH, Header, REPLY_MAGIC};

use crate::proxy_support::Client;

pub const GET: u8 = 0x00;
pub const SET: u8 = 0x01;
pub const ADD: u8 = 0x02;
pub const REPLACE: u8 = 0x03;
pub const DELETE: u8 = 0x04;
pub const INCR: u8 = 0x05;
pub const DECR: u8 = 0x06;
pub const QUIT: u8 = 0x07;
pub const FLUSH: u8 = 0x08;
pub const GETQ: u8 = 0x09;
pub const NOOP: u8 = 0x0a;
pub const VERSION: u8 = 0x0b;
pub const GETK: u8 = 0x0c;
pub const GETKQ: u8 = 0x0d;
pub const APPEND: u8 = 0x0e;
pub const STAT: u8 = 0x10;
pub const SETQ: u8 = 0x11;
pub const ADDQ: u8 = 0x12;
pub const REPLACEQ: u8 = 0x13;
pub const DELETEQ: u8 = 0x14;
pub const INCRQ: u8 = 0x15;
pub const DECRQ: u8 = 0x16;
pub const QUITQ: u8 = 0x17;
pub const FLUSHQ: u8 = 0x18;
pub const APPENDQ: u8 = 0x19;
pub const PREPENDQ: u8 = 0x1a;
pub const TOUCH: u8 = 0x1c;
pub const GAT: u8 = 0x1d;
pub const GATQ: u8 = 0x1e;
pub const GATK: u8 = 0x23;
pub const GATKQ: u8 = 0x24;

/// Flags and expiration time of a storage command.
pub const FLAGS: &[u8] = &[0, 0, 0, 5, 0, 0, 0, 0];

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    pub opcode: u8,
    pub opaque: u32,
    pub cas: u64,
    pub extras: Vec<u8>,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

impl Ask {
    pub fn new(opcode: u8, key: impl AsRef<[u8]>) -> Ask {
        let extras = match opcode {
            SET | ADD | REPLACE | SETQ | ADDQ | REPLACEQ => FLAGS.to_vec(),
            TOUCH | GAT | GATQ | GATK | GATKQ => vec![0, 0, 0, 100],
            // Add 3; a missing number is not made.
            INCR | DECR | INCRQ | DECRQ => [&3u64.to_be_bytes()[..], &[0; 8], &[0xff; 4]].concat(),
            _ => Vec::new(),
        };
        Ask {
            opcode,
            extras,
            key: key.as_ref().to_vec(),
            ..Ask::default()
        }
    }

    pub fn value(self, value: impl AsRef<[u8]>) -> Ask {
        let value = value.as_ref().to_vec();
        Ask { value, ..self }
    }

    pub fn extras(self, extras: &[u8]) -> Ask {
        let extras = extras.to_vec();
        Ask { extras, ..self }
    }

    pub fn cas(self, cas: u64) -> Ask {
        Ask { cas, ..self }
    }

    pub fn opaque(self, opaque: u32) -> Ask {
        Ask { opaque, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let Ask {
            extras, key, value, ..
        } = self;
        let header = Header {
            opaque: self.opaque,
            cas: self.cas,
            ..Header::request(self.opcode, extras.len(), key.len(), value.len())
        };
        [&header.to_bytes()[..], extras, key, value].concat()
    }
}

/// The opaque of the last request of a [`conversation`].
const LAST: u32 = 0xffff_fff0;

/// Sends bytes and then a `noop`; returns the replies in front of its, each as a line.
#[track_caller]
pub fn conversation(client: &mut Client, asks: &[u8]) -> Vec<String> {
    client.send(asks);
    client.send(Ask::new(NOOP, "").opaque(LAST).bytes());
    let mut lines = Vec::new();
    loop {
        let (header, body) = reply(client);
        if (header.opcode, header.opaque) == (NOOP, LAST) {
            return lines;
        }
        lines.push(line(&header, &body));
    }
}

/// The next reply.
#[track_caller]
pub fn reply(client: &mut Client) -> (Header, Vec<u8>) {
    let mut bytes = [0; HEADER_LENGTH];
    fill(client, &mut bytes);
    let header = Header::read(&bytes).expect("all of it");
    assert_eq!(header.magic, REPLY_MAGIC, "{}", bytes.escape_ascii());
    let mut body = vec![0; header.body_length as usize];
    fill(client, &mut body);
    (header, body)
}

/// The next reply as a line.
#[track_caller]
pub fn reply_line(client: &mut Client) -> String {
    let (header, body) = reply(client);
    line(&header, &body)
}

/// `OPCODE OPAQUE STATUS [cas] EXTRAS KEY VALUE`, long values by their length.
pub fn line(header: &Header, body: &[u8]) -> String {
    let (extras, rest) = body.split_at(usize::from(header.extras_length));
    let (key, value) = rest.split_at(usize::from(header.key_length));
    let value = match value.len() {
        0..300 => value.escape_ascii().to_string().replace("\\'", "'"),
        length => format!("{length} bytes"),
    };
    let cas = if header.cas == 0 { "" } else { " cas" };
    let extras = match extras {
        [] => String::new(),
        extras => format!(" {extras:?}"),
    };
    let key = match key {
        [] => String::new(),
        key => format!(" key={}", key.escape_ascii()),
    };
    format!(
        "{:#04x} {} {:#x}{cas}{extras}{key} {value}",
        header.opcode, header.opaque, header.status
    )
}

#[track_caller]
fn fill(client: &mut Client, mut into: &mut [u8]) {
    while !into.is_empty() {
        let count = client.receive(into).expect("a reply");
        assert!(count > 0, "the end");
        into = &mut into[count..];
    }
}
