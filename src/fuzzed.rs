//! Readers of files and of replies, for the fuzz targets in `fuzz/targets`: no public path leads to them.
//!
//! Each function reads a text as the program reads it, and returns what a target checks.

use crate::invalidate::{PendingRecord, UpstreamRow};
use crate::pool::slots::{Redirect, SlotMap};
use crate::program::File;
use crate::service::memcached::AuthFile;
use crate::service::resp::acl_text_as_saved;
use crate::snapshot::{BlockWriter, load, write};
use crate::store::Store;

/// Reads a larder.toml, and the settings of its `[serve]` table as `larder config` prints them.
pub fn settings_file(text: &str) -> Result<(), String> {
    let file = File::parse(text).map_err(|error| error.to_string())?;
    let _ = file.serve.settings();
    Ok(())
}

/// Reads a file of `--auth-file`, and returns whether the user has the password; the error is the number of a malformed
/// line.
pub fn auth_file(text: &[u8], user: &[u8], password: &[u8]) -> Result<bool, usize> {
    AuthFile::of_text(text).map(|file| file.accepts(user, password))
}

/// Reads a file of `--acl-file`, and returns it as ACL SAVE writes it.
pub fn acl_file(text: &[u8]) -> Result<Vec<u8>, String> {
    acl_text_as_saved(text)
}

/// Loads a snapshot into an empty store, and returns the number of its items; the error is a sentence.
pub fn load_snapshot(store: &Store, file: &[u8]) -> Result<u64, String> {
    let counts = load(store, file).map_err(|error| error.to_string())?;
    Ok(counts.stored)
}

/// The snapshot of a store.
pub fn snapshot(store: &Store) -> Vec<u8> {
    let mut file = Vec::new();
    write(store, &mut file, || Ok(())).expect("memory takes everything");
    file
}

/// A snapshot file whose records are these bytes: its blocks have the right checksums.
pub fn snapshot_of(records: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut blocks = BlockWriter::begin(&mut file).expect("memory takes everything");
    blocks.write(records).expect("memory takes everything");
    blocks.finish().expect("memory takes everything");
    file
}

/// Reads a pending change of the spool, and writes it again.
pub fn spool_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    PendingRecord::decode(bytes)?.encode(&mut out);
    Some(out)
}

/// Reads the spool's row of an upstream, and writes it again.
pub fn spool_row(bytes: &[u8]) -> Option<[u8; 16]> {
    UpstreamRow::decode(bytes).map(|row| row.encode())
}

/// Reads a server's reply to CLUSTER SLOTS, and returns the servers that the slots are mapped to.
pub fn cluster_slots(reply: &[u8]) -> Option<Vec<String>> {
    let map = SlotMap::read(reply, "127.0.0.1:7000")?;
    let slots = 0..crate::pool::SLOTS;
    let servers = slots.filter_map(|slot| map.server(slot));
    Some(
        servers
            .map(|number| map.servers()[number].clone())
            .collect(),
    )
}

/// Reads a redirection of a server, and returns the address.
pub fn redirection(line: &[u8]) -> Option<String> {
    Redirect::read(line).map(|redirect| redirect.target("127.0.0.1:7000"))
}
