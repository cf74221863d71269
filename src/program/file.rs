//! larder.toml: its default path, its tables, and its errors.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::logging::LogOptions;
use super::options::{
    InvalidateOptions, OriginOptions, PeersOptions, ProxyOptions, ServeOptions, TargetOptions,
    TlsOptions, UpstreamTlsOptions,
};

/// The file that is read without `--config`, if it exists.
pub(crate) const DEFAULT_FILE: &str = "larder.toml";

/// The largest file that is read: settings take a page, so a larger file is some other file.
const MAX_FILE: u64 = 1 << 20;

/// The tables of a larder.toml.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    pub(crate) serve: ServeOptions,
    pub(crate) origin: OriginOptions,
    pub(crate) peers: PeersOptions,
    pub(crate) proxy: ProxyOptions,
    pub(crate) invalidate: InvalidateOptions,
    pub(crate) target: Vec<TargetOptions>,
    pub(crate) tls: TlsOptions,
    #[serde(rename = "upstream-tls")]
    pub(crate) upstream_tls: UpstreamTlsOptions,
    pub(crate) log: LogOptions,
}

/// The error for a file; prints as one sentence that names the file, and for a mistake in it the line and the allowed
/// values.
#[derive(Debug)]
pub(crate) struct FileError {
    path: PathBuf,
    what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what.trim_end())
    }
}

impl File {
    /// Reads the named file, or the default one if it exists.
    pub(crate) fn find(named: Option<&Path>) -> Result<File, FileError> {
        match named {
            Some(path) => File::read(path),
            None if Path::new(DEFAULT_FILE).exists() => File::read(Path::new(DEFAULT_FILE)),
            None => Ok(File::default()),
        }
    }

    fn read(path: &Path) -> Result<File, FileError> {
        let error = |what: String| FileError {
            path: path.to_owned(),
            what,
        };
        let size = std::fs::metadata(path)
            .map_err(|e| error(format!("can't be read: {e}")))?
            .len();
        if size > MAX_FILE {
            return Err(error(format!(
                "has {size} bytes; a settings file may have {MAX_FILE} at most"
            )));
        }
        let text =
            std::fs::read_to_string(path).map_err(|e| error(format!("can't be read: {e}")))?;
        File::parse(&text).map_err(|e| error(e.to_string()))
    }

    pub(crate) fn parse(text: &str) -> Result<File, toml::de::Error> {
        toml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::{Endpoint, Size};
    use super::*;

    #[test]
    fn a_file_has_the_same_settings_as_the_command_line() {
        let file = File::parse(
            "[serve]\nmemory = \"128MiB\"\nresp = \"off\"\nworkers = 3\nidle-timeout = 30\nnested = false\n\
             model = \"threads\"\n[log]\ndir = \"logs\"\n",
        )
        .unwrap();
        let settings = file.serve.settings();
        assert_eq!(settings.memory, Size(128 << 20));
        assert_eq!(settings.resp, Endpoint(None));
        assert_eq!(
            (
                settings.workers.unwrap_or_default(),
                settings.idle_timeout.0,
                settings.nested.0
            ),
            (3, 30, false)
        );
        assert_eq!(settings.model.0, crate::server::Model::Threads);
        assert_eq!(file.log.dir.as_deref(), Some(Path::new("logs")));
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_the_allowed_values() {
        for (text, line, allowed) in [
            ("[serve]\nmemry = \"1GiB\"\n", "line 2", "`memory`"),
            ("\n[sevre]\n", "line 2", "`serve`"),
            ("[serve]\nresp = \"6379\"\n", "line 2", "127.0.0.1:11211"),
            ("[serve]\nworkers = 0\n", "line 2", "1 to 4096"),
            ("[serve]\nworkers = 99999999999\n", "line 2", "1 to 4096"),
            (
                "[serve]\nmax-connections = 0\n",
                "line 2",
                "1 to 4294967295",
            ),
            ("[serve]\nidle-timeout = -1\n", "line 2", "0 (off) to"),
            ("[serve]\nmemory = [1]\n", "line 2", "whole number"),
            (
                "[serve]\nmodel = \"async\"\n",
                "line 2",
                "turns nor threads",
            ),
            ("[log]\nlevel = \"loud\"\n", "line 2", "debug"),
        ] {
            let error = File::parse(text).unwrap_err().to_string();
            assert!(
                error.contains(line) && error.contains(allowed),
                "{text:?} gave {error}"
            );
        }
    }
}
