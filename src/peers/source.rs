//! The owner of a key as the source of this node's copies.

use std::sync::Arc;
use std::time::Duration;

use crate::origin::{FetchError, FetchRequest, Fetched, Origin, PeerRequest, PeerStatus};

use super::group::{Group, PeerError};
use super::mark::PeerPurpose;
use super::statistics::PeerStatistics;

/// The flags of a read: value, flags, cas unique and remaining lifetime.
const READ: [&str; 4] = ["v", "f", "c", "t"];

/// The shortest lifetime of a copy, so that the command that asked for it finds it.
const LEAST: Duration = Duration::from_millis(100);

/// The peers of a group, each for its keys.
#[derive(Debug)]
pub(super) struct PeerSource(pub(super) Arc<Group>);

impl Origin for PeerSource {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let group = &self.0;
        let members = group.members();
        // The reader asks again, and finds the node that has the key now.
        let peer = members.owner(request.names[0]).ok_or(FetchError::Moved)?;
        PeerStatistics::add(&group.statistics.fetches);
        let read = PeerRequest::new("mg", request.names, READ.map(str::to_owned).into());
        let (purpose, deadline) = (PeerPurpose::Copy, request.deadline);
        let reply = match group.ask(peer, &read, purpose, deadline, request.max_value) {
            Ok(reply) => reply,
            Err(PeerError::Skip | PeerError::Unanswered(_)) => return Err(FetchError::Moved),
            Err(PeerError::Refused(why)) => return Err(FetchError::Error(why)),
            Err(PeerError::TooLarge(most)) => return Err(FetchError::TooLarge(most)),
        };
        if reply.status != PeerStatus::Done {
            PeerStatistics::add(&group.statistics.missing);
            return Ok(None);
        }
        PeerStatistics::add(&group.statistics.found);
        Ok(Some(Fetched {
            flags: u32::try_from(reply.number('f')).unwrap_or_default(),
            cas: reply.flag('c').and_then(|cas| cas.parse().ok()),
            lifetime: Some(lifetime(group.settings.copy_ttl, reply.flag('t'))),
            value: reply.value.unwrap_or_default(),
        }))
    }

    fn describe(&self) -> String {
        "peer".into()
    }
}

/// The lifetime of a copy whose item has so many seconds left, `-1` for no end.
fn lifetime(copy_ttl: Duration, left: Option<&str>) -> Duration {
    let left = left.and_then(|left| left.parse().ok());
    // They are rounded up.
    let left = left.map_or(copy_ttl, |left: u64| {
        Duration::from_secs(left.saturating_sub(1))
    });
    copy_ttl.min(left).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_not_kept_longer_than_its_item() {
        let ttl = Duration::from_secs(5);
        assert_eq!(lifetime(ttl, Some("-1")), ttl);
        assert_eq!(lifetime(ttl, None), ttl);
        assert_eq!(lifetime(ttl, Some("60")), ttl);
        assert_eq!(lifetime(ttl, Some("3")), Duration::from_secs(2));
        assert_eq!(lifetime(ttl, Some("1")), LEAST);
        assert_eq!(lifetime(ttl, Some("0")), LEAST);
    }
}
