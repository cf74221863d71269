//! The state that all threads share: the nodes at a time, and one request to a peer.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use crate::client::{Error, ErrorKind, MetaReply, MetaStatus};
use crate::origin::{FailureLog, PeerReply, PeerRequest, PeerStatus};

use super::mark::{PeerMark, PeerPurpose};
use super::members::{Members, Peer};
use super::path_word::path_word;
use super::settings::PeerSettings;
use super::statistics::PeerStatistics;

/// This node and its peers.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) settings: PeerSettings,
    members: RwLock<Arc<Members>>,
    pub(super) statistics: PeerStatistics,
    pub(super) failures: FailureLog,
    /// About other lists and loops, so that failures don't hide them.
    pub(super) faults: FailureLog,
    /// Held while the list changes.
    reloading: Mutex<()>,
}

/// Why a peer has not answered.
#[derive(Debug)]
pub(super) enum PeerError {
    /// Nothing was sent, or the reply is of no use; the peer is skipped now.
    Skip,
    /// It may have executed the command. The peer is skipped now.
    Unanswered(String),
    /// The peer has answered this error, or nothing can be sent for this reason.
    Refused(String),
    /// The value is over this limit.
    TooLarge(usize),
}

impl Group {
    /// A group with the nodes of its list.
    pub(super) fn new(settings: PeerSettings) -> Result<Group, String> {
        let list = settings.read_list()?;
        let members = Members::new(&list, &settings.own, settings.timeout, None);
        Ok(Group {
            settings,
            members: RwLock::new(Arc::new(members)),
            statistics: PeerStatistics::default(),
            failures: FailureLog::new("peer"),
            faults: FailureLog::new("peer"),
            reloading: Mutex::default(),
        })
    }

    /// The nodes at this time.
    pub(super) fn members(&self) -> Arc<Members> {
        let members = self.members.read();
        Arc::clone(&members.unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the list again. Returns the peers that are new; the threads of those that are gone end.
    pub(super) fn reload(&self) -> Result<Vec<Arc<Peer>>, String> {
        let _one = self.reloading.lock();
        let list = self.settings.read_list()?;
        let before = self.members();
        let own = &self.settings.own;
        let after = Members::new(&list, own, self.settings.timeout, Some(&before));
        let without = |peer: &Arc<Peer>, members: &Members| {
            !members.peers().any(|other| Arc::ptr_eq(peer, other))
        };
        let gone = before.peers().filter(|peer| without(peer, &after));
        gone.for_each(|peer| peer.mailbox.close());
        let new = after.peers().filter(|peer| without(peer, &before));
        let new = new.cloned().collect();
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        *members = Arc::new(after);
        Ok(new)
    }

    /// The mark of a request.
    pub(super) fn mark(&self, purpose: PeerPurpose) -> String {
        PeerMark {
            purpose,
            list: self.members().fingerprint,
            sender: self.settings.own.clone(),
        }
        .to_string()
    }

    /// Sends a request to a peer, and reads its reply by the deadline.
    pub(super) fn ask(
        &self,
        peer: &Peer,
        request: &PeerRequest,
        purpose: PeerPurpose,
        deadline: Instant,
        max_value: usize,
    ) -> Result<PeerReply, PeerError> {
        let refused = || {
            PeerError::Refused("SERVER_ERROR the key can't be sent to the peer that owns it".into())
        };
        let (key, separator) = path_word(&request.names).ok_or_else(refused)?;
        let mark = self.mark(purpose);
        let flags = request.flags.iter().map(String::as_str);
        let flags = flags.chain(separator.as_deref()).chain([&*mark]);
        let client = peer.client.for_one_request(deadline, max_value);
        let asked = client.meta_of_peer(
            request.verb,
            &key,
            &flags.collect::<Vec<_>>(),
            request.value.as_deref(),
        );
        match asked {
            Ok(reply) => Ok(reply_of(reply)),
            Err(error) if error.kind() == ErrorKind::InvalidKey => Err(refused()),
            Err(error) if error.kind() == ErrorKind::TooLong => Err(PeerError::TooLarge(max_value)),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Counts and logs an error, and decides what it means for the request.
    fn failed(&self, error: &Error) -> PeerError {
        let statistics = &self.statistics;
        if let Some(line) = error.error_line() {
            PeerStatistics::add(&statistics.errors);
            return PeerError::Refused(line.to_owned());
        }
        let (count, outcome) = match error.kind() {
            ErrorKind::Unavailable => (&statistics.unavailable, PeerError::Skip),
            ErrorKind::Deadline => (
                &statistics.timeouts,
                PeerError::Unanswered(error.to_string()),
            ),
            ErrorKind::Lost => (
                &statistics.unavailable,
                PeerError::Unanswered(error.to_string()),
            ),
            ErrorKind::Protocol => (
                &statistics.wrong_replies,
                PeerError::Unanswered(error.to_string()),
            ),
            _ => (&statistics.errors, PeerError::Refused(error.to_string())),
        };
        PeerStatistics::add(count);
        self.failures.note(Instant::now(), || match &outcome {
            PeerError::Refused(_) => error.to_string(),
            _ => format!("{error}; the next node on the ring stands in for it until it answers"),
        });
        outcome
    }
}

fn reply_of(reply: Option<MetaReply>) -> PeerReply {
    let Some(reply) = reply else {
        return PeerReply {
            status: PeerStatus::Miss,
            value: None,
            flags: Vec::new(),
        };
    };
    let mut flags = reply.flags;
    flags.retain(|flag| !flag.starts_with('k') && flag != "b");
    PeerReply {
        status: match reply.status {
            MetaStatus::Done => PeerStatus::Done,
            MetaStatus::NotFound => PeerStatus::NotFound,
            MetaStatus::NotStored => PeerStatus::NotStored,
            MetaStatus::Exists => PeerStatus::Exists,
        },
        value: reply.value,
        flags,
    }
}
