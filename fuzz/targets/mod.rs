//! The fuzz targets: a function for each reader of bytes from outside, and for whole sessions.
//!
//! ```text
//!   cargo fuzz run NAME ─▶ fuzz_targets/libfuzzer.rs ─┐
//!                                                     ├▶ run(NAME, bytes)   panics if a property does not hold
//!   cargo test --test fuzz: corpus and mutations ─────┘
//! ```
//!
//! A target is a plain function of bytes, so that an ordinary test runs it on stable Rust. Every one checks that
//! nothing panics and that no more is consumed than there is; each says what else it checks. To add one: the function,
//! its line in [`TARGETS`], a `[[bin]]` in `fuzz/Cargo.toml`, and at least one file in `fuzz/corpus/NAME`.

mod choices;
mod command_shapes;
mod files;
mod memcached_model;
mod replies;
mod requests;
mod resp_model;
mod sessions;

/// A function that checks properties of the bytes that it gets.
pub(crate) type Target = fn(&[u8]);

/// Every target, with the name of its corpus.
pub(crate) const TARGETS: [(&str, Target); 19] = [
    ("acl_file", files::acl_file),
    ("auth_file", files::auth_file),
    ("client_replies", replies::client_replies),
    ("cluster_replies", replies::cluster_replies),
    ("memcached_binary", requests::memcached_binary),
    ("memcached_model", memcached_model::memcached_model),
    ("memcached_session", sessions::memcached_session),
    ("memcached_text", requests::memcached_text),
    ("proxy_replies", replies::proxy_replies),
    ("proxy_requests", requests::proxy_requests),
    ("resp_model", resp_model::resp_model),
    ("resp_requests", requests::resp_requests),
    ("resp_session", sessions::resp_session),
    ("server_list", files::server_list),
    ("settings_file", files::settings_file),
    ("snapshot", files::snapshot),
    ("spool", files::spool),
    ("transcript", files::transcript),
    ("udp", sessions::udp),
];

/// Splits the first byte off, as a choice.
fn chosen(bytes: &[u8]) -> (u8, &[u8]) {
    bytes
        .split_first()
        .map_or((0, bytes), |(first, rest)| (*first, rest))
}

/// The input in pieces of this many bytes, or whole.
fn pieces(choice: u8, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let size = match choice {
        0 => bytes.len(),
        size => usize::from(size),
    };
    bytes.chunks(size.max(1))
}
