//! `larder config`: the settings in force as a commented larder.toml. The comments are the help texts of the options, so
//! there is one description of each; the output, read as a larder.toml, gives the same settings again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Command};
use larder::pool::Placement;
use toml::Value;

use super::invalidate::InvalidateOptions;
use super::logging::LogOptions;
use super::options::{ServeOptions, Settings};
use super::proxy::{Hash, LISTEN, ProxyOptions};

/// Columns that a comment takes at most.
const WIDTH: usize = 96;

/// The settings in force as a commented TOML file.
pub(crate) fn toml(
    settings: &Settings,
    proxy: &ProxyOptions,
    invalidate: &InvalidateOptions,
    log: &LogOptions,
) -> Result<String, String> {
    let mut out = String::from(
        "# The settings in force. Save this as larder.toml and change what you like;\n\
         # a flag on the command line wins over the file.\n",
    );
    // Field by field, so that a new setting can't be forgotten here.
    let Settings {
        memcached,
        resp,
        unix,
        memory,
        max_item_size,
        nested,
        model,
        workers,
        max_connections,
        idle_timeout,
        password_file,
    } = settings;
    let help = ServeOptions::augment_args(Command::new("serve"));
    out.push_str("\n[serve]\n");
    let mut serve = |key, value, example: &str| entry(&mut out, &help, key, value, text(example));
    serve("memcached", Some(text(memcached)), "");
    serve("resp", Some(text(resp)), "");
    serve("unix", path(unix), "/run/larder/larder.sock");
    serve("memory", Some(text(memory)), "");
    serve("max-item-size", Some(text(max_item_size)), "");
    serve("nested", Some(text(nested)), "");
    serve("model", Some(text(model)), "");
    serve("workers", Some(number(*workers)), "");
    serve("max-connections", Some(number(*max_connections)), "");
    serve("idle-timeout", Some(number(idle_timeout.0)), "");
    serve("password-file", path(password_file), "/etc/larder/password");

    out.push_str("\n[proxy]\n");
    proxy_table(&mut out, proxy)?;

    out.push_str("\n[invalidate]\n");
    invalidate_table(&mut out, invalidate)?;

    let help = LogOptions::augment_args(Command::new("log"));
    out.push_str("\n[log]\n");
    entry(
        &mut out,
        &help,
        "log-dir",
        path(&log.dir),
        text("/var/log/larder"),
    );
    out.push_str("\n# How much is logged: off, error, warn, info, debug or trace.\n");
    out.push_str(&format!(
        "level = \"{}\"\n",
        log.level().as_str().to_ascii_lowercase()
    ));
    Ok(out)
}

/// The settings of `larder proxy`. Which servers it stands in front of has no default.
fn proxy_table(out: &mut String, options: &ProxyOptions) -> Result<(), String> {
    let settings = options.settings()?;
    let ProxyOptions {
        protocol: _,
        listen,
        upstream,
        servers,
        cluster,
        hash,
        connections: _,
        own_connections: _,
        workers: _,
        max_connections: _,
        failures: _,
        on_failure: _,
        connect_timeout: _,
        read_timeout: _,
        write_timeout: _,
        database: _,
        password_file,
    } = options;
    let list = |addresses: &Option<Vec<String>>| {
        let addresses = addresses.as_ref()?;
        Some(Value::Array(addresses.iter().map(text).collect()))
    };
    let listen = listen.as_ref().map_or(text(LISTEN), text);
    let hash = hash.unwrap_or(Hash(Placement::Ketama));
    let count = |count: usize| Some(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    let seconds = |span: Duration| Some(Value::Integer(span.as_secs().cast_signed()));
    let help = ProxyOptions::augment_args(Command::new("proxy"));
    let mut proxy = |key, value, example| entry(out, &help, key, value, example);
    proxy("protocol", Some(text(settings.protocol)), text(""));
    proxy("listen", Some(listen), text(""));
    proxy(
        "upstream",
        list(upstream),
        Value::Array(vec![text("127.0.0.1:6379")]),
    );
    proxy("servers", path(servers), text("servers.txt"));
    proxy(
        "cluster",
        list(cluster),
        Value::Array(vec![text("127.0.0.1:7000")]),
    );
    proxy("hash", Some(text(hash)), text(""));
    proxy("connections", count(settings.connections), text(""));
    proxy("own-connections", count(settings.detached), text(""));
    proxy("workers", count(settings.workers), text(""));
    proxy("max-connections", count(settings.max_connections), text(""));
    proxy("failures", Some(number(settings.failures)), text(""));
    proxy("on-failure", Some(text(settings.on_failure)), text(""));
    proxy(
        "connect-timeout",
        seconds(settings.connect_timeout),
        text(""),
    );
    proxy("read-timeout", seconds(settings.read_timeout), text(""));
    proxy("write-timeout", seconds(settings.write_timeout), text(""));
    proxy("database", Some(number(settings.database)), text(""));
    proxy(
        "password-file",
        path(password_file),
        text("/etc/larder/upstream-password"),
    );
    Ok(())
}

/// The settings of `larder invalidate`. Which servers it tells has no default.
fn invalidate_table(out: &mut String, options: &InvalidateOptions) -> Result<(), String> {
    let help = InvalidateOptions::augment_args(Command::new("invalidate"));
    for (flag, value, example) in options.values()? {
        let value = value.map(|value| match value.parse() {
            Ok(number) => Value::Integer(number),
            Err(_) => text(value),
        });
        entry(out, &help, flag, value, text(example));
    }
    Ok(())
}

fn path(path: &Option<PathBuf>) -> Option<Value> {
    path.as_deref().map(Path::to_string_lossy).map(text)
}

/// One setting: its help as a comment, then its value, or an example that is commented out.
fn entry(out: &mut String, help: &Command, flag: &str, value: Option<Value>, example: Value) {
    let argument = help
        .get_arguments()
        .find(|argument| argument.get_long() == Some(flag))
        .expect("every setting is an option");
    out.push('\n');
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut line = String::from("#");
    for word in help.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    let key = flag.strip_prefix("log-").unwrap_or(flag);
    out.push_str(&match value {
        Some(value) => format!("{line}\n{key} = {value}\n"),
        None => format!("{line}\n# {key} = {example}\n"),
    });
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

fn number(value: u32) -> Value {
    Value::Integer(i64::from(value))
}

#[cfg(test)]
mod tests {
    use super::super::file::File;
    use super::*;

    #[test]
    fn what_is_printed_gives_the_same_settings_when_read() {
        for said in [
            "",
            "[proxy]\nprotocol = \"resp\"\ncluster = [\"a:1\", \"b:2\"]\n",
            "[serve]\nmemory = \"1GiB\"\nmax-item-size = 5000000\nresp = \"/tmp/\\\"q\\\".sock\"\n\
             memcached = \"off\"\nunix = \"/tmp/l.sock\"\nnested = \"off\"\nworkers = 7\nidle-timeout = 5\n\
             model = \"threads\"\nmax-connections = 9\npassword-file = \"/etc/p\"\n\
             [proxy]\nprotocol = \"memcached\"\nlisten = \"/tmp/p.sock\"\nupstream = [\"a:1\", \"b:2\"]\n\
             hash = \"twemproxy\"\nconnections = 2\nown-connections = 5\nworkers = 1\nmax-connections = 7\n\
             failures = 8\non-failure = \"next\"\nconnect-timeout = 3\nread-timeout = 4\nwrite-timeout = 6\n\
             database = 9\npassword-file = \"/etc/u\"\n[invalidate]\nlisten = \"off\"\nresp = \"127.0.0.1:7\"\n\
             servers = \"s.txt\"\nhash = \"twemproxy\"\nworkers = 3\nspool = \"/var/s\"\ndurability = \"fsync\"\n\
             reads = \"forward\"\nmax-pending = 5\nmax-age = \"90s\"\nmax-connections = 9\ntimeout = 3\n[log]\ndir = \"l\"\nlevel = \"warn\"\n",
        ] {
            let file: File = toml::from_str(said).unwrap();
            let (settings, log) = (file.serve.settings(), file.log);
            let printed = toml(&settings, &file.proxy, &file.invalidate, &log).unwrap();
            let (_, proxy) = said.split_once("[proxy]").unwrap_or_default();
            for line in proxy.lines() {
                assert!(printed.contains(line), "{line}\n{printed}");
            }
            let again: File = toml::from_str(&printed).expect(&printed);
            assert_eq!(again.serve.settings(), settings, "{printed}");
            let again_printed = toml(&settings, &again.proxy, &again.invalidate, &log).unwrap();
            assert_eq!(again_printed, printed);
            assert_eq!(
                (again.log.dir.clone(), again.log.level()),
                (log.dir.clone(), log.level())
            );
        }
    }
}
