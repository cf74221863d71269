//! The output of a connection under turns: what the socket takes at once, and the rest, which is kept until it takes more.

use std::io;
use std::ops::Range;

use super::client::{Client, WorkerBuffers};
use crate::server::gather;
use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::service::Insertion;

impl Client {
    /// Writes a reply with the values that belong into it, and keeps what the socket doesn't take.
    pub(super) fn send(
        &mut self,
        buffers: &mut WorkerBuffers,
        reply: Range<usize>,
        mut insertions: Vec<Insertion>,
    ) -> io::Result<()> {
        for insertion in &mut insertions {
            insertion.at -= reply.start;
        }
        let bytes = &buffers.output[reply.clone()];
        let taken = gather::write_until_full(&self.stream, bytes, &insertions, 0)?;
        let left = gather::length(bytes, &insertions) - taken;
        buffers.traffic().written(taken);
        self.settle(buffers, left);
        if left == 0 {
            return Ok(());
        }
        if !insertions.is_empty() {
            (self.output, self.written) = (buffers.output[reply].to_vec(), taken);
            self.insertions = insertions;
        } else if left > OUTPUT_SOFT_LIMIT && reply.end == buffers.output.len() {
            // So large that it is not copied. Replies in front of it have been sent.
            self.output = std::mem::take(&mut buffers.output);
            self.written = reply.start + taken;
        } else {
            self.output = buffers.output[reply][taken..].to_vec();
            self.written = 0;
        }
        Ok(())
    }

    /// Writes kept output; true when all of it is written.
    pub(super) fn flush(&mut self, buffers: &WorkerBuffers) -> io::Result<bool> {
        let taken =
            gather::write_until_full(&self.stream, &self.output, &self.insertions, self.written)?;
        if taken > 0 {
            buffers.traffic().written(taken);
            self.membership.connection.touch(buffers.now);
            self.written += taken;
        }
        if self.written < gather::length(&self.output, &self.insertions) {
            return Ok(false);
        }
        (self.output, self.insertions) = (Vec::new(), Vec::new());
        self.written = 0;
        self.settle(buffers, 0);
        Ok(true)
    }
}
