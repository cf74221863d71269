//! The blocks of a snapshot file: bytes in, blocks with checksums out, and back.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use crc32fast::Hasher;

const MAGIC: &[u8; 16] = b"larder snapshot\n";

/// The version of the format. A change that the code before it could not read takes the next number. Version 1 had no begin, and no mark
/// of items from an origin.
pub(super) const VERSION: u32 = 2;

/// Bytes of a block, except for the last one. Large enough that a write costs little for each byte.
pub(super) const BLOCK: usize = 256 << 10;

/// Length and checksum.
const HEAD: usize = 8;
/// In a block's length: it is the last one.
const LAST: u32 = 1 << 31;

/// Why a file can't be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Unreadable {
    /// It does not begin like a snapshot.
    Foreign,
    /// It has a later version of the format.
    Version(u32),
    /// It has no end.
    Cut,
    /// A block, by its number, is not as it was written.
    Damaged(u64),
    /// The system can't read it.
    Io(io::Error),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Foreign => write!(f, "it is not a snapshot of larder"),
            Unreadable::Version(version) => write!(
                f,
                "it has version {version} of the format, and this larder reads version {VERSION}; use the larder that wrote it"
            ),
            Unreadable::Cut => write!(f, "it has no end: a part of it is missing"),
            Unreadable::Damaged(block) => {
                write!(f, "it is damaged: block {block} is not as it was written")
            }
            Unreadable::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Unreadable {
        match error.kind() {
            ErrorKind::UnexpectedEof => Unreadable::Cut,
            _ => Unreadable::Io(error),
        }
    }
}

fn checksum(number: u64, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Writes bytes as blocks.
pub(crate) struct BlockWriter<W> {
    out: W,
    /// Room for the head, and the payload so far.
    block: Vec<u8>,
    /// The number of blocks written.
    number: u64,
    /// The number of bytes written.
    bytes: u64,
}

impl<W: Write> BlockWriter<W> {
    /// Begins a file.
    pub(crate) fn begin(mut out: W) -> io::Result<BlockWriter<W>> {
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        let mut block = Vec::with_capacity(HEAD + BLOCK);
        block.resize(HEAD, 0);
        Ok(BlockWriter {
            out,
            block,
            number: 0,
            bytes: (MAGIC.len() + size_of_val(&VERSION)) as u64,
        })
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = HEAD + BLOCK - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == HEAD + BLOCK {
                self.end_block(0)?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self, last: u32) -> io::Result<()> {
        let length = (self.block.len() - HEAD) as u32 | last;
        let checksum = checksum(self.number, length, &self.block[HEAD..]);
        self.block[..4].copy_from_slice(&length.to_le_bytes());
        self.block[4..HEAD].copy_from_slice(&checksum.to_le_bytes());
        self.out.write_all(&self.block)?;
        self.bytes += self.block.len() as u64;
        self.number += 1;
        self.block.truncate(HEAD);
        Ok(())
    }

    /// Ends the file, and returns the number of its bytes.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        self.end_block(LAST)?;
        self.out.flush()?;
        Ok(self.bytes)
    }
}

/// Reads blocks.
pub(super) struct BlockReader<R> {
    from: R,
    /// The number of blocks read.
    number: u64,
}

impl<R: Read> BlockReader<R> {
    /// Begins a file.
    pub(super) fn begin(mut from: R) -> Result<BlockReader<R>, Unreadable> {
        let mut magic = Vec::new();
        from.by_ref()
            .take(MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        if !MAGIC.starts_with(&magic) {
            return Err(Unreadable::Foreign);
        }
        let mut version = [0; 4];
        from.read_exact(&mut version)?;
        match u32::from_le_bytes(version) {
            1..=VERSION => Ok(BlockReader { from, number: 0 }),
            version => Err(Unreadable::Version(version)),
        }
    }

    /// Appends the payload of the next block, and returns whether it was the last one.
    pub(super) fn next(&mut self, to: &mut Vec<u8>) -> Result<bool, Unreadable> {
        let mut word = [0; 4];
        self.from.read_exact(&mut word)?;
        let length = u32::from_le_bytes(word);
        self.from.read_exact(&mut word)?;
        let (payload, is_last) = ((length & !LAST) as usize, length & LAST != 0);
        if payload > BLOCK {
            return Err(self.damaged());
        }
        let start = to.len();
        to.reserve(payload);
        let mut block = self.from.by_ref().take(payload as u64);
        if block.read_to_end(to)? < payload {
            return Err(Unreadable::Cut);
        }
        let mut behind = [0; 1];
        if checksum(self.number, length, &to[start..]) != u32::from_le_bytes(word)
            || is_last && self.from.read(&mut behind)? != 0
        {
            return Err(self.damaged());
        }
        self.number += 1;
        Ok(is_last)
    }

    /// The error of a block whose content makes no sense. They are counted from 1.
    pub(super) fn damaged(&self) -> Unreadable {
        Unreadable::Damaged(self.number + 1)
    }
}
