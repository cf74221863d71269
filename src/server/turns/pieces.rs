//! The share of a worker's time that commands in pieces get while other clients send requests.
//!
//! HGETALL of a million fields is some four thousand pieces. A worker that does one after the other never sleeps, and
//! neither does the client that receives them. Then the requests of others wait for a core: the system lets a thread that
//! has slept run at once, and one that computes all the time only after its turn. So, while other clients send requests,
//! all such commands of a worker together get [`SHARE`] of each millisecond and rest until the next. Without others they
//! go on without a rest.
//!
//! A client whose reply was just written is often woken on the worker's own core, because the system expects the worker to
//! sleep soon. So a worker that has received something since it last did so yields its core when its pieces have taken
//! [`STRETCH`]. Without that, the slowest hundredth of the requests took 1.5 times as long.
//!
//! [`PieceShare`] is a value without a clock.
//!
//! Cost: two readings of the clock for each piece. Beside other clients such a command takes about ten times as long as alone.

use std::time::Duration;

/// The part of a millisecond.
const SHARE: Duration = Duration::from_micros(100);
/// The time of pieces after which a worker yields its core.
const STRETCH: Duration = Duration::from_micros(50);
/// Milliseconds after a request of another client in which the share is bounded.
const BOUNDED_FOR: u64 = 100;

/// The time that the commands in pieces of one worker have taken.
#[derive(Debug, Default)]
pub(super) struct PieceShare {
    /// The millisecond of the last piece.
    millisecond: u64,
    /// The time of the pieces in it.
    used: Duration,
    /// The time of the pieces since the worker last yielded its core.
    stretch: Duration,
    /// Bytes that the server had received from all clients at the last look.
    received: u64,
    /// The time until which the share is bounded, in milliseconds.
    bounded_until: u64,
}

impl PieceShare {
    /// A command in pieces has begun. The bytes `received` until now include its own request, which is not one of another client.
    pub(super) fn begin(&mut self, received: u64) {
        self.received = received;
    }

    /// Whether the next piece has to wait for the next millisecond.
    pub(super) fn is_used_up(&mut self, now: u64, received: u64) -> bool {
        if received != self.received {
            self.received = received;
            self.bounded_until = now + BOUNDED_FOR;
        }
        if now != self.millisecond {
            (self.millisecond, self.used) = (now, Duration::ZERO);
        }
        now < self.bounded_until && self.used >= SHARE
    }

    /// Whether the worker has to yield its core before the next piece. `has_received` is whether it has received something
    /// since it last yielded it or slept.
    pub(super) fn gives_way(&mut self, has_received: bool) -> bool {
        let gives_way = has_received && self.stretch >= STRETCH;
        if gives_way {
            self.stretch = Duration::ZERO;
        }
        gives_way
    }

    /// A piece has taken this time.
    pub(super) fn add(&mut self, time: Duration) {
        self.used += time;
        self.stretch += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Duration = Duration::from_micros(50);

    /// Pieces that are done in a millisecond, of at most a hundred.
    fn pieces(share: &mut PieceShare, now: u64, received: u64) -> usize {
        let mut done = 0;
        while done < 100 && !share.is_used_up(now, received) {
            share.add(PIECE);
            done += 1;
        }
        done
    }

    #[test]
    fn a_command_beside_other_clients_gets_a_part_of_each_millisecond() {
        let mut share = PieceShare::default();
        share.begin(50);
        assert_eq!(pieces(&mut share, 7, 50), 100, "there is no other client");
        assert_eq!(pieces(&mut share, 7, 60), 0);
        for now in 8..7 + BOUNDED_FOR {
            assert_eq!(pieces(&mut share, now, 60), 2);
        }
        assert_eq!(pieces(&mut share, 7 + BOUNDED_FOR, 60), 100);
    }

    #[test]
    fn the_worker_yields_its_core_after_a_stretch_if_it_has_received_something() {
        let mut share = PieceShare::default();
        share.add(STRETCH / 2);
        assert!(!share.gives_way(true), "the stretch is short");
        share.add(STRETCH / 2);
        assert!(!share.gives_way(false), "no client waits");
        assert!(share.gives_way(true));
        assert!(!share.gives_way(true), "a new stretch has begun");
    }

    #[test]
    fn its_own_request_does_not_bound_it() {
        let mut share = PieceShare::default();
        share.begin(100);
        assert_eq!(pieces(&mut share, 2, 100), 100);
    }
}
