//! `larder dump`: the items of a snapshot as JSON, one in a line.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use super::client::json::{add_bytes, encoded};
use crate::snapshot::{self, Part};

/// The command line of `larder dump`.
#[derive(Args)]
pub(crate) struct DumpArgs {
    /// A snapshot, as `larder serve --snapshot FILE` writes it; USR1 makes a running larder write one
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Prints all items of the file, with the path of each, its flags, and the time at which it expires. The error, a sentence for
/// a person, may come after some of them.
pub(super) fn run(args: &DumpArgs) -> Result<(), String> {
    let name = args.file.display();
    let file = File::open(&args.file).map_err(|error| format!("{name}: {error}"))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut path: Vec<Vec<u8>> = Vec::new();
    let read = snapshot::read(file, |part| {
        let Part::Item(item) = part else {
            return;
        };
        path.truncate(item.depth);
        path.push(item.key.to_vec());
        let mut object = Map::new();
        object.insert("db".into(), item.db.into());
        add_path(&mut object, &path);
        object.insert("flags".into(), item.flags.into());
        if let Some(expires_ms) = item.expires_ms {
            object.insert("expires_ms".into(), expires_ms.into());
        }
        if let Some(value) = item.value {
            add_bytes(&mut object, "value", value);
        }
        if written.is_ok() {
            written = writeln!(out, "{}", Value::Object(object));
        }
    });
    match written.and_then(|()| out.flush()) {
        // A reader that stops early, such as `head`, is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(format!("standard output: {error}"));
        }
        _ => {}
    }
    read.map(|_| ())
        .map_err(|unreadable| format!("{name}: {unreadable}"))
}

/// Adds the keys of a path, all of them in base64 if one is no text.
fn add_path(object: &mut Map<String, Value>, path: &[Vec<u8>]) {
    let keys = path.iter().map(|key| str::from_utf8(key));
    let (name, keys): (_, Vec<Value>) = match keys.collect::<Result<Vec<&str>, _>>() {
        Ok(keys) => ("path", keys.into_iter().map(Value::from).collect()),
        Err(_) => (
            "path_base64",
            path.iter().map(|key| encoded(key).into()).collect(),
        ),
    };
    object.insert(name.into(), keys.into());
}
