//! The counts of peers, under the names of `stats` and INFO.

use crate::origin::counts;

counts! {
    PeerStatistics:
    fetches: "peer_fetches", "Reads that asked a peer.";
    found: "peer_found", "Reads for which the peer had a value, which is a copy now.";
    missing: "peer_missing", "Reads for which the peer had none.";
    forwards: "peer_forwards", "Commands sent to the owner of their key.";
    failures: "peer_failures", "Commands without an answer, which may have been executed.";
    errors: "peer_errors", "Reads and commands that a peer answered with an error.";
    wrong_replies: "peer_wrong_replies", "Replies that were malformed or belonged to another request or key.";
    timeouts: "peer_timeouts", "Requests that were not answered in time.";
    unavailable: "peer_unavailable", "Requests for which there was no connection, or that lost it.";
    queue_full: "peer_queue_full", "Commands that were refused because too many waited.";
    refused: "peer_refused", "Commands that were refused because their key is a peer's.";
    requests: "peer_requests", "Requests of peers, with a mark.";
    not_mine: "peer_not_mine", "Of these, those for a key that another peer owns by this node's list and health.";
    lists_differ: "peer_lists_differ", "Of these, those of a sender that has another list.";
    loops: "peer_loops", "Of these, those that this node has sent itself.";
    changes_sent: "peer_changes_sent", "Changed keys that a peer was sent.";
    changes_lost: "peer_changes_lost", "Changed keys that a peer was not sent, because too many waited.";
}
