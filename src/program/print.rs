//! `larder config`: the settings in force as a commented larder.toml. The comments are the help texts of the options, so
//! there is one description of each; the output, read as a larder.toml, gives the same settings again.

use std::path::Path;

use clap::{Args, Command};
use toml::Value;

use super::logging::LogOptions;
use super::options::{ServeOptions, Settings};

/// Columns that a comment takes at most.
const WIDTH: usize = 96;

/// The settings in force as a commented TOML file.
pub(crate) fn toml(settings: &Settings, log: &LogOptions) -> String {
    let mut out = String::from(
        "# The settings in force. Save this as larder.toml and change what you like;\n\
         # a flag on the command line wins over the file.\n",
    );
    let path =
        |path: &Option<std::path::PathBuf>| path.as_deref().map(Path::to_string_lossy).map(text);

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
    let mut serve = |key, value, example| entry(&mut out, &help, key, value, example);
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

    let help = LogOptions::augment_args(Command::new("log"));
    out.push_str("\n[log]\n");
    entry(
        &mut out,
        &help,
        "log-dir",
        path(&log.dir),
        "/var/log/larder",
    );
    out.push_str("\n# How much is logged: off, error, warn, info, debug or trace.\n");
    out.push_str(&format!(
        "level = \"{}\"\n",
        log.level().as_str().to_ascii_lowercase()
    ));
    out
}

/// One setting: its help as a comment, then its value, or an example that is commented out.
fn entry(out: &mut String, help: &Command, flag: &str, value: Option<Value>, example: &str) {
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
        None => format!("{line}\n# {key} = {}\n", text(example)),
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
            "[serve]\nmemory = \"1GiB\"\nmax-item-size = 5000000\nresp = \"/tmp/\\\"q\\\".sock\"\n\
             memcached = \"off\"\nunix = \"/tmp/l.sock\"\nnested = \"off\"\nworkers = 7\nidle-timeout = 5\n\
             model = \"threads\"\nmax-connections = 9\npassword-file = \"/etc/p\"\n[log]\ndir = \"l\"\nlevel = \"warn\"\n",
        ] {
            let file: File = toml::from_str(said).unwrap();
            let (settings, log) = (file.serve.settings(), file.log);
            let printed = toml(&settings, &log);
            let again: File = toml::from_str(&printed).expect(&printed);
            assert_eq!(again.serve.settings(), settings, "{printed}");
            assert_eq!(
                (again.log.dir.clone(), again.log.level()),
                (log.dir.clone(), log.level())
            );
        }
    }
}
