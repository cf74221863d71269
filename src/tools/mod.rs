//! The command-line tools beside the server.
//!
//! [`transcript`] reads and replays conversations written as plain text, against a session in this
//! process or a server behind a socket. The tests, the book and [`probe`] use it; [`probe`] is the
//! command that checks any server. [`mod@bench`] loads a server and measures it; [`tap`] shows the
//! traffic between clients and a server; `top` shows what running servers do.

pub mod bench;
mod output;
pub mod probe;
mod size;
pub mod tap;
#[cfg(feature = "program")]
pub(crate) mod top;
pub mod transcript;

pub use size::parse_size;
