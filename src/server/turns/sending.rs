//! Writes the output of a connection to its socket. The connection keeps bytes that the socket doesn't take, and writes them when it can
//! take more.
//!
//! Cost: a reply that the socket takes at once stays in the worker's buffer. Of another one the rest is copied, unless it is large: then
//! the connection keeps the worker's buffer, and the worker begins a new one.

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
            // Too large to copy: the connection keeps the worker's buffer. Replies in front of this one have been sent.
            self.output = std::mem::take(&mut buffers.output);
            self.written = reply.start + taken;
        } else {
            self.output = buffers.output[reply][taken..].to_vec();
            self.written = 0;
        }
        Ok(())
    }

    /// Writes output that was kept. Returns whether all of it is written.
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
