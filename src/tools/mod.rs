//! The command-line tools beside the server.
//!
//! [`transcript`] reads and replays conversations written as plain text, against a session in this process or a
//! server behind a socket. The tests, the book and `larder probe` use it.

pub mod transcript;
