//! Read-through: what the cache doesn't have is fetched from an origin, once for all clients that ask.
//!
//! ```text
//!   session ── miss ──▶ CommandFetches ──▶ ReadThrough ──▶ FetchTable ── queue ──▶ fetch threads ──▶ Origin
//!      ▲                     │  waits          │            one fetch for each path, what was        │
//!      │                     ▼                 │            not found or failed lately                │
//!      └──── wake ─────── Waiter ◀─────────────┴─ finish ◀── under the lease: stored ◀───────────────┘
//! ```
//!
//! A command that misses asks for the path of its item, its connection is parked, and when the fetch has ended the command
//! runs again. No worker waits, and hits pay for all of this with one test of a bit. In reading order: `source` (the origin
//! as a trait), `settings`, `item_path`, `fetch` (one fetch and those who wait for it), `fetch_table` (the rules, without threads and
//! clock), `remembered` (what was not found or failed lately), `command_fetches` (a session's side), `read_through` (all of
//! it, on the store), `threads`, `statistics`, `failure_log`. The kinds of origin are files of their own: `command`, `http`
//! on `http_connection`, `sqlite` (with the features of these names), and `memcached` and `redis` with what these two share in `cache_server` (with the feature
//! `proxy`, which has the client).
//!
//! # An item's times
//!
//! ```text
//!   fetched ──────── fresh ────────▶│──────── stale ────────▶│ expired: a read waits for a fetch
//!            a hit                   a hit at once, and one fetch refreshes the item
//! ```
//!
//! A path that the origin doesn't have is remembered for the negative TTL, one whose fetch failed for the retry time. The
//! item of a client is never refreshed: it is in the cache until it expires.
//!
//! # Writes win
//!
//! A fetch takes a [lease](crate::store) on its path before it asks the origin. A set, a delete (also one that finds nothing)
//! or a flush revokes the lease, and the value that was fetched is dropped. A read that comes after such a change doesn't
//! join the old fetch but a new one, which begins when the old one has ended. A command whose fetch was overtaken asks
//! [`MOST_ATTEMPTS`](command_fetches) times, then it misses.
//!
//! # When the origin fails
//!
//! | what happens | answer | log, at most a line in 10 s | statistic |
//! |---|---|---|---|
//! | no answer within the timeout, waiting in the queue included | the stale value, or a miss | `… timed out` | `origin_timeouts` |
//! | no connection, one that is lost, an ejected server, a missing program, a database that is missing, locked or damaged | the stale value, or a miss | the system's error | `origin_unavailable` |
//! | an error: a reply that is one or is malformed, a key that the server can't have, an exit code above 1, a failing query, a status other than 200, 404 and 410 | the stale value, or a miss | the error | `origin_errors` |
//! | a value over the limit of an item | as an error; it is read up to the limit and no further | the limit | `origin_too_large` |
//! | the queue is full | a miss at once | the length of the queue | `origin_queue_full` |
//! | the path is overtaken by writes three times | a miss | none | `origin_overtaken` counts each time |
//! | a panic in the origin's code | as an error | the panic | `origin_errors` |
//!
//! The stale value is answered where there is one and the settings keep it after a failure. Each of these is remembered for
//! the retry time, except the last two rows but one, so a failing origin gets one request for each path in that time.
//!
//! # Bounds
//!
//! The number of fetch threads bounds the fetches at a time. The queue has a bound, the paths that are remembered have one in
//! bytes, and a path over [`PATH_LIMIT`](item_path) bytes is never fetched. A fetch ends at its deadline, and all that wait
//! for it are answered then.

#[cfg(feature = "proxy")]
mod cache_server;
mod command;
mod command_fetches;
mod exchange;
mod failure_log;
mod fetch;
mod fetch_table;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod http_connection;
mod item_path;
#[cfg(feature = "proxy")]
mod memcached;
mod peer_request;
mod read_through;
#[cfg(feature = "proxy")]
mod redis;
mod remembered;
mod settings;
mod source;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statistics;
mod threads;

#[cfg(feature = "proxy")]
pub(crate) use cache_server::default_settings as client_settings;
pub use command::CommandOrigin;
pub(crate) use command_fetches::{CommandFetches, Look};
pub(crate) use exchange::{Answer, Exchange};
#[cfg(feature = "proxy")]
pub(crate) use failure_log::FailureLog;
#[cfg(feature = "http")]
pub use http::{HttpOrigin, InvalidUrl};
#[cfg(feature = "proxy")]
pub use memcached::MemcachedOrigin;
pub(crate) use peer_request::{PeerReply, PeerRequest, PeerStatus};
pub(crate) use read_through::ReadThrough;
#[cfg(feature = "proxy")]
pub use redis::RedisOrigin;
pub use settings::{OnFailure, Settings};
pub use source::{FetchError, FetchRequest, Fetched, Origin};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteOrigin;
#[cfg(feature = "proxy")]
pub(crate) use statistics::counts;
pub(crate) use threads::FetchThreads;
