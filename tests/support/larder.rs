//! larder itself, as a transcript asks for it: its service on a store of its own, and a clock that stands still.

use std::sync::Arc;

use larder::server::{Connections, Service};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store};
use larder::tools::transcript::{Protocol, Transcript};

/// When every run in this process begins, in Unix milliseconds: a moment in November 2026.
const BEGINNING: u64 = 1_795_000_000_000;

/// The settings that a transcript's header asks for.
pub(crate) struct Settings {
    pub(crate) nested: bool,
    pub(crate) store: Config,
    pub(crate) password: Option<String>,
}

impl Settings {
    pub(crate) fn of(transcript: &Transcript) -> Result<Settings, String> {
        let mut settings = Settings {
            nested: true,
            store: Config::default(),
            password: None,
        };
        for (name, value) in &transcript.options {
            let wrong = || format!("{}: options: {name}={value} is nothing", transcript.file);
            match (name.as_str(), value.as_str()) {
                ("nested", "on") => settings.nested = true,
                ("nested", "off") => settings.nested = false,
                ("memory", size) => settings.store.memory = bytes(size).ok_or_else(wrong)?,
                ("max-item-size", size) => {
                    let size = bytes(size).and_then(|size| usize::try_from(size).ok());
                    settings.store.max_item_size = size.ok_or_else(wrong)?;
                }
                ("password", password) => settings.password = Some(password.to_owned()),
                _ => return Err(wrong()),
            }
        }
        Ok(settings)
    }
}

/// `512`, `1k`, `8m`, as memcached's own options have it.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'm']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// The service of the transcript's protocol, and its clock.
pub(crate) fn service(transcript: &Transcript) -> Result<(Arc<dyn Service>, Clock), String> {
    let settings = Settings::of(transcript)?;
    let clock = Clock::manual(BEGINNING);
    let store = Arc::new(Store::new(settings.store, clock.clone()));
    let service: Arc<dyn Service> = match transcript.protocol {
        Protocol::Resp => {
            let password = settings.password;
            Arc::new(Resp::new(
                store,
                Connections::new(),
                resp::Settings {
                    password,
                    ..Default::default()
                },
            ))
        }
        other => return Err(format!("larder has no service for {other}")),
    };
    Ok((service, clock))
}
