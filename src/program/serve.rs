//! `larder serve`: settings into a running server, until a signal ends it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process;

use larder::Server;
use larder::server::signals::{self, Signal};
use larder::server::{Listen, StartError};

use super::ServeArgs;
use super::logging;
use super::options::Settings;

/// The environment variable that holds the password of RESP clients.
const PASSWORD: &str = "LARDER_PASSWORD";

/// Serves until TERM, INT or QUIT. Fails with a sentence for a person when it can't start.
pub(super) fn run(args: &ServeArgs) -> Result<(), String> {
    let (settings, log) = args.settings()?;
    logging::start(&log)?;
    let server = start(&settings)?;
    let serving = format!(
        "serving with {} for items; connections run by {} on {} workers",
        settings.memory, settings.model, settings.workers
    );

    let (args, mut running) = (args.clone(), settings);
    let log_dir = log.dir;
    let (handle, store, connections) = (
        server.handle(),
        server.store().clone(),
        server.connections().clone(),
    );
    let watch = signals::watch(move |signal| match signal {
        Signal::Stop => {
            log::info!(
                "ending: answering what is in flight, for {:?} at most",
                larder::GRACE
            );
            handle.begin_shutdown(larder::GRACE);
        }
        Signal::StopNow => {
            log::warn!("ending now, as asked a second time");
            process::exit(0);
        }
        Signal::Reload => {
            logging::reopen();
            match args.settings() {
                Ok((settings, log)) => {
                    logging::set_level(log.level());
                    store.set_memory(settings.memory.0);
                    store.set_max_item_size(settings.max_item_size.0 as usize);
                    connections.set_max(settings.max_connections as usize);
                    let mut later = running.reload(&settings);
                    if log.dir != log_dir {
                        later.push("log-dir");
                    }
                    report_reload(&running, &later);
                }
                Err(problem) => log::error!("not reloaded, the old settings go on: {problem}"),
            }
        }
    })
    .map_err(|e| format!("signals can't be caught: {e}"))?;
    // Whoever reads these lines may send a signal at once, so the signals come first.
    log::info!("{serving}");
    announce(
        server
            .listeners()
            .map(|(protocol, address)| format!("{protocol} {address}")),
    )?;
    server.join();
    drop(watch);
    log::info!("ended");
    Ok(())
}

fn start(settings: &Settings) -> Result<Server, String> {
    let unix = settings.unix.clone().map(Listen::Unix);
    let listeners = [
        ("--memcached", settings.memcached.0.clone()),
        ("--resp", settings.resp.0.clone()),
        ("--unix", unix),
    ];
    let options: Vec<_> = listeners
        .iter()
        .filter(|(_, to)| to.is_some())
        .map(|(o, _)| *o)
        .collect();
    let [(_, memcached), (_, resp), (_, unix)] = listeners;
    let builder = Server::builder()
        .memcached(memcached)
        .resp(resp)
        .unix(unix)
        .memory(settings.memory.0)
        .max_item_size(settings.max_item_size.0 as usize)
        .nested(settings.nested.0)
        .password(password(settings.password_file.as_deref(), PASSWORD)?)
        .model(settings.model.0)
        .workers(Some(settings.workers as usize))
        .max_connections(settings.max_connections as usize)
        .idle_timeout(settings.idle_timeout.span());
    builder.start().map_err(|error| match &error {
        StartError::Listen { index, .. } => {
            format!("{error}; choose another with {} ADDR", options[*index])
        }
        StartError::OpenFiles { .. } => format!("{error}; the option is --max-connections N"),
        _ => error.to_string(),
    })
}

/// The password from the file that was named, or from the environment; never from an argument, which others can see.
pub(super) fn password(file: Option<&Path>, variable: &str) -> Result<Option<String>, String> {
    let text = match file {
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|e| format!("--password-file {}: can't be read: {e}", path.display()))?;
            match text.lines().next() {
                Some(line) if !line.is_empty() => line.to_owned(),
                _ => {
                    return Err(format!(
                        "--password-file {}: its first line is empty",
                        path.display()
                    ));
                }
            }
        }
        None => match std::env::var(variable) {
            Ok(text) if !text.is_empty() => text,
            _ => return Ok(None),
        },
    };
    Ok(Some(text))
}

/// Says on standard output that the listeners are ready, a line each: scripts wait for these lines.
pub(super) fn announce(listeners: impl Iterator<Item = String>) -> Result<(), String> {
    let mut out = io::stdout().lock();
    for listener in listeners {
        writeln!(out, "listening on {listener}").map_err(|e| format!("standard output: {e}"))?;
    }
    out.flush().map_err(|e| format!("standard output: {e}"))
}

/// Logs what is in force after a reload, and what differs in the file and takes effect later.
fn report_reload(running: &Settings, later: &[&str]) {
    log::info!(
        "reloaded: memory = {}, max-item-size = {}, max-connections = {}",
        running.memory,
        running.max_item_size,
        running.max_connections
    );
    if !later.is_empty() {
        log::warn!(
            "these settings changed too and need a restart: {}",
            later.join(", ")
        );
    }
}
