//! A lock that programs on several machines share: an item of a cache, whose value only the holder knows.
//!
//! ```text
//!   acquire: add KEY TOKEN, with a lifetime     stored: held; not stored: another holds it
//!   extend:  gets KEY; is it TOKEN? then cas with a new lifetime
//!   release: the same with a lifetime that has ended
//! ```
//!
//! The `cas` makes sure that a holder whose lock has expired changes nothing of the next holder's. [`Lock`] lists what such a lock
//! can't guarantee. Cost: one round trip to acquire, two to extend or release.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::client::cache::Cache;
use crate::client::error::Error;
use crate::client::item::Item;
use crate::pool::Protocol;

/// A lock on a memcached server or a pool, held until it is released or its lifetime ends.
///
/// ```
/// use std::time::Duration;
/// use larder::client::{Client, Lock};
///
/// let server = larder::Server::start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// let minute = Duration::from_secs(60);
/// match Lock::acquire(&client, "report:lock", minute)? {
///     Some(lock) => {
///         // Make the report, and call `lock.extend(minute)` if that takes long.
///         let was_held = lock.release()?;
///         assert!(was_held, "no other program has made it meanwhile");
///     }
///     None => println!("another program makes the report"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Such a lock saves work that would be done twice. It can't guarantee that there is one holder at a time:
///
/// - A holder that is stopped, by the system or by the scheduler, for longer than the lifetime continues as if it held the lock,
///   while another holds it. Only the resource itself can prevent this, if it refuses requests older than the newest it has seen.
/// - A cache can lose the item: it evicts items, and a restart or `flush_all` removes all of them. Another program can acquire the
///   lock then.
/// - In a pool, programs whose server lists differ, or a change of the list, put the lock on different servers. So does
///   [`Settings::failover`](crate::client::Settings::failover) while a server is ejected for some programs.
/// - After an error of [`Lock::acquire`] the item may have been stored. Then no program holds the lock until the lifetime ends.
///
/// A lock that is dropped without [`Lock::release`] stays until its lifetime ends.
#[derive(Debug)]
#[must_use = "a lock that is dropped stays until its lifetime ends"]
pub struct Lock<'a, C> {
    cache: &'a C,
    key: Vec<u8>,
    /// Different for each lock that was ever acquired, but for an improbable accident.
    token: String,
}

impl<'a, C: Cache> Lock<'a, C> {
    /// Acquires the lock of this key, for this lifetime, which is rounded up to seconds. `None` if another holds it.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    pub fn acquire(
        cache: &'a C,
        key: impl AsRef<[u8]>,
        lifetime: Duration,
    ) -> Result<Option<Lock<'a, C>>, Error> {
        let key = key.as_ref();
        cache.at(key, |client| client.require(Protocol::Memcached, "locks"))?;
        let lock = Lock {
            cache,
            key: key.to_vec(),
            token: token(),
        };
        let is_acquired = cache.add(key, &lock.token[..], Some(lifetime))?;
        Ok(is_acquired.then_some(lock))
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Lets the lock live for this time from now. Returns whether it was still held; if not, another may hold it.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client). After an error it is unknown whether the lock is held.
    pub fn extend(&self, lifetime: Duration) -> Result<bool, Error> {
        let still_ours = |item: &&Item| item.value == self.token.as_bytes();
        let keep = |held: Option<&Item>| held.filter(still_ours).cloned();
        let kept = self.cache.update(&self.key, Some(lifetime), keep)?;
        Ok(kept.is_some())
    }

    /// Releases the lock. Returns whether it was still held.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client). After an error the lock stays held until its lifetime ends, or is released.
    pub fn release(self) -> Result<bool, Error> {
        self.extend(Duration::ZERO)
    }
}

/// 128 bits, by a hash whose keys the system has chosen at random.
fn token() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}
