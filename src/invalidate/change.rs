//! A client's reported change, on its way from the worker to the recorder, and the answer on its way back.

use std::borrow::Cow;

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::memcached::binary::Status;
use crate::proxy::{AnswerSender, LaterAnswer};

/// A value that replaces the old one at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewValue {
    /// memcached's flags; 0 from a client that speaks RESP.
    pub(crate) flags: u32,
    /// The time at which it expires, in Unix milliseconds; 0 for never, below 0 for at once.
    pub(crate) expires: i64,
    pub(crate) bytes: Box<[u8]>,
}

/// A reported change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportedChange {
    /// This key, to this value if that is known and a target needs it.
    Key(Box<[u8]>, Option<NewValue>),
    /// All keys.
    All,
}

impl ReportedChange {
    /// The approximate number of bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            ReportedChange::Key(key, value) => {
                64 + key.len() + value.as_ref().map_or(0, |value| value.bytes.len())
            }
            ReportedChange::All => 64,
        }
    }
}

/// An answer that is sent when the changes of its request are recorded.
pub(crate) struct PendingAnswer {
    /// The form of the answer, for an error in its place.
    pub(crate) shape: ReplyShape,
    pub(crate) answer: LaterAnswer,
}

/// The changes that a worker hands over together. They are recorded in the same transaction.
pub(crate) struct ChangeBatch {
    pub(crate) changes: Vec<ReportedChange>,
    /// The answers of clients when the changes are recorded.
    pub(crate) answers: Vec<PendingAnswer>,
    /// Changes whose clients expect no answer.
    pub(crate) quiet: usize,
    pub(crate) bytes: usize,
    pub(crate) sender: AnswerSender,
}

impl ChangeBatch {
    pub(crate) fn new(sender: AnswerSender) -> ChangeBatch {
        ChangeBatch {
            changes: Vec::new(),
            answers: Vec::new(),
            quiet: 0,
            bytes: 0,
            sender,
        }
    }

    /// Has the clients answered: their changes are recorded, or none is, for this reason.
    pub(crate) fn answer(self, failure: Option<&str>) {
        let answers = self.answers.into_iter().map(|pending| match failure {
            None => pending.answer,
            Some(text) => LaterAnswer {
                bytes: Cow::Owned(pending.shape.error(Status::TemporaryFailure, text)),
                ..pending.answer
            },
        });
        self.sender.send(answers.collect());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::framing::reply::{BinaryReply, WithheldReply};
    use crate::protocol::memcached::binary::{Header, ReplyTo};
    use crate::proxy::RequestId;

    #[test]
    fn a_change_that_is_not_recorded_is_an_error_in_the_protocol_of_its_client() {
        let to = ReplyTo {
            opcode: 0x14,
            opaque: 9,
        };
        let quiet = ReplyShape::Binary(BinaryReply {
            to,
            sent_opcode: 0x04,
            withheld: WithheldReply::Success,
        });
        let (sender, answers) = AnswerSender::new(Arc::new(|| Ok(())));
        let mut batch = ChangeBatch::new(sender);
        for (sequence, shape) in [ReplyShape::Line, ReplyShape::Resp, quiet]
            .into_iter()
            .enumerate()
        {
            let request_id = RequestId {
                client: (0, 0),
                sequence: sequence as u64,
            };
            let bytes = Cow::Borrowed(&b"done"[..]);
            let answer = LaterAnswer { request_id, bytes };
            batch.answers.push(PendingAnswer { shape, answer });
        }
        batch.answer(Some("the disk is full"));
        let answers = answers.try_recv().expect("they were sent");
        assert_eq!(&*answers[0].bytes, b"SERVER_ERROR the disk is full\r\n");
        assert_eq!(&*answers[1].bytes, b"-ERR the disk is full\r\n");
        let header = Header::read(&answers[2].bytes).expect("a header");
        assert_eq!(
            (header.opcode, header.opaque, header.status),
            (0x14, 9, 0x86)
        );
        assert!(answers[2].bytes.ends_with(b"the disk is full"));
    }
}
