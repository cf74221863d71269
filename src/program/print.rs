//! `larder config`: the settings in force as a commented larder.toml. The comments are the help texts of the options, so
//! there is one description of each; the output, read as a larder.toml, gives the same settings again.

use clap::{Args, Command};

use super::logging::LogOptions;
use super::options::{
    InvalidateOptions, OriginOptions, PeersOptions, ProxyOptions, ServeOptions, TlsOptions,
    UpstreamTlsOptions,
};
use super::output::show;
use super::serve::{ServeArgs, TableSettings};
use super::values::PrintedSetting;

/// Columns that a comment takes at most.
const WIDTH: usize = 96;

/// Prints the settings in force. The error is a sentence for a person.
pub(super) fn run(args: &ServeArgs) -> Result<(), String> {
    let (settings, file) = (args.settings()?, args.file()?);
    let text = toml(&settings, &file.proxy, &file.invalidate, &file.upstream_tls);
    show(&text?)
}

/// The settings in force as a commented TOML file.
fn toml(
    settings: &TableSettings,
    proxy: &ProxyOptions,
    invalidate: &InvalidateOptions,
    upstream_tls: &UpstreamTlsOptions,
) -> Result<String, String> {
    let TableSettings {
        serve: settings,
        origin,
        peers,
        tls,
        log,
    } = settings;
    let mut out = String::from(
        "# The settings in force. Save this as larder.toml and change the settings;\n\
         # a flag on the command line wins over the file.\n",
    );
    let serve = ServeOptions::augment_args(Command::new("serve"));
    table(&mut out, "serve", &serve, settings.printed());
    let help = OriginOptions::augment_args(Command::new("origin"));
    table(&mut out, "origin", &help, origin.printed());
    let help = PeersOptions::augment_args(Command::new("peers"));
    table(&mut out, "peers", &help, peers.printed());
    let help = ProxyOptions::augment_args(Command::new("proxy"));
    table(&mut out, "proxy", &help, proxy.printed()?);
    let help = InvalidateOptions::augment_args(Command::new("invalidate"));
    table(&mut out, "invalidate", &help, invalidate.printed()?);
    let help = TlsOptions::augment_args(Command::new("tls"));
    table(&mut out, "tls", &help, tls.printed());
    let help = UpstreamTlsOptions::augment_args(Command::new("upstream-tls"));
    table(&mut out, "upstream-tls", &help, upstream_tls.printed());
    let help = LogOptions::augment_args(Command::new("log"));
    let dir = PrintedSetting::path("log-dir", log.dir.as_ref(), "/var/log/larder");
    let format = PrintedSetting::new("log-format", log.format());
    table(&mut out, "log", &help, vec![dir, format]);
    let level = log.level().as_str().to_ascii_lowercase();
    out.push_str("\n# Level of the log: off, error, warn, info, debug or trace.\n");
    out.push_str(&format!("level = \"{level}\"\n"));
    Ok(out)
}

fn table(out: &mut String, name: &str, help: &Command, settings: Vec<PrintedSetting>) {
    out.push_str(&format!("\n[{name}]\n"));
    for setting in settings {
        entry(out, name, help, setting);
    }
}

/// One setting: its help as a comment, then its value, or an example that is commented out.
fn entry(out: &mut String, table: &str, help: &Command, setting: PrintedSetting) {
    let PrintedSetting {
        flag,
        value,
        example,
    } = setting;
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
    let key = key_of(table, flag);
    out.push_str(&match value {
        Some(value) => format!("{line}\n{key} = {value}\n"),
        None => format!("{line}\n# {key} = {example}\n"),
    });
}

/// The name of a flag in its table. The table's name says what begins the name of the flag.
fn key_of<'f>(table: &str, flag: &'f str) -> &'f str {
    if flag == "peers" {
        return "servers";
    }
    let of_one = table.strip_suffix('s').unwrap_or(table);
    let key = flag
        .strip_prefix(table)
        .and_then(|key| key.strip_prefix('-'));
    let key = key.or_else(|| flag.strip_prefix(of_one)?.strip_prefix('-'));
    key.unwrap_or(flag)
}

#[cfg(test)]
mod tests {
    use super::super::file::File;
    use super::*;

    /// The settings of a file as they are printed, and themselves.
    fn printed(file: File) -> (String, TableSettings) {
        let settings = TableSettings {
            serve: file.serve.settings(),
            origin: file.origin,
            peers: file.peers,
            tls: file.tls,
            log: file.log,
        };
        let (proxy, invalidate) = (file.proxy, file.invalidate);
        let text = toml(&settings, &proxy, &invalidate, &file.upstream_tls);
        (text.unwrap(), settings)
    }

    #[test]
    fn printed_settings_are_the_same_when_read() {
        for text in [
            "",
            "[proxy]\nprotocol = \"resp\"\ncluster = [\"a:1\", \"b:2\"]\n",
            "[serve]\nmemory = \"1GiB\"\nmax-item-size = 5000000\nresp = \"/tmp/\\\"q\\\".sock\"\n\
             memcached = \"off\"\nunix = \"/tmp/l.sock\"\nnested = \"off\"\nworkers = 7\nidle-timeout = 5\n\
             model = \"threads\"\nmax-connections = 9\npassword-file = \"/etc/p\"\n\
             [proxy]\nprotocol = \"memcached\"\nlisten = \"/tmp/p.sock\"\nupstream = [\"a:1\", \"b:2\"]\n\
             hash = \"twemproxy\"\nconnections = 2\nown-connections = 5\nworkers = 1\nmax-connections = 7\n\
             failures = 8\non-failure = \"next\"\non-return = \"flush\"\nconnect-timeout = 3\nread-timeout = 4\nwrite-timeout = 6\n\
             database = 9\nuser = \"app\"\npassword-file = \"/etc/u\"\n[invalidate]\nlisten = \"off\"\nresp = \"127.0.0.1:7\"\n\
             servers = \"s.txt\"\nhash = \"twemproxy\"\nworkers = 3\nspool = \"/var/s\"\ndurability = \"fsync\"\n\
             reads = \"forward\"\nmax-pending = 5\nmax-age = \"90s\"\nremember-rings = \"2h\"\nmax-connections = 9\ntimeout = 3\n\
             [origin]\ncommand = \"a {key}\"\nhttp = \"h\"\nmemcached = \"a:3\"\nredis = \"/r.sock\"\nsqlite = \"s.db\"\nquery = \"q\"\nuser = \"u\"\n\
             password-file = \"p\"\ndatabase = 3\ntls-ca = \"c\"\ntls-cert = \"d\"\ntls-key = \"e\"\ntimeout = \"2s\"\nretry = \"3s\"\nfetches = 4\nqueue = 5\nfresh = \"6s\"\n\
             stale = \"7s\"\nnegative-ttl = \"8s\"\non-failure = \"miss\"\n\
             [peers]\nservers = \"p.txt\"\nself = \"a:1\"\ncopy-ttl = \"3s\"\ntimeout = \"4s\"\n\
             [tls]\ncert = \"c.pem\"\nkey = \"k.pem\"\nclient-ca = \"a.pem\"\n\
             [upstream-tls]\nca = \"u.pem\"\ncert = \"v.pem\"\nkey = \"w.pem\"\n[log]\ndir = \"l\"\nformat = \"json\"\nlevel = \"warn\"\n",
        ] {
            let file: File = toml::from_str(text).unwrap();
            let (printed, settings) = printed(file.clone());
            let (_, proxy) = text.split_once("[proxy]").unwrap_or_default();
            for line in proxy.lines() {
                assert!(printed.contains(line), "{line}\n{printed}");
            }
            let again: File = toml::from_str(&printed).expect(&printed);
            let upstream_tls = again.upstream_tls.clone();
            let (again_printed, again) = self::printed(again);
            assert_eq!(again.serve, settings.serve, "{printed}");
            assert_eq!(
                (&again.tls, upstream_tls),
                (&settings.tls, file.upstream_tls)
            );
            assert_eq!(again_printed, printed);
            assert_eq!(
                (again.log.dir.clone(), again.log.format(), again.log.level()),
                (
                    settings.log.dir.clone(),
                    settings.log.format(),
                    settings.log.level()
                )
            );
        }
    }
    #[test]
    fn every_option_is_printed() {
        let file = File::default();
        for (help, printed) in [
            (
                ServeOptions::augment_args(Command::new("serve")),
                file.serve.settings().printed(),
            ),
            (
                OriginOptions::augment_args(Command::new("origin")),
                file.origin.printed(),
            ),
            (
                PeersOptions::augment_args(Command::new("peers")),
                file.peers.printed(),
            ),
            (
                ProxyOptions::augment_args(Command::new("proxy")),
                file.proxy.printed().unwrap(),
            ),
            (
                InvalidateOptions::augment_args(Command::new("invalidate")),
                file.invalidate.printed().unwrap(),
            ),
            (
                TlsOptions::augment_args(Command::new("tls")),
                file.tls.printed(),
            ),
            (
                UpstreamTlsOptions::augment_args(Command::new("upstream-tls")),
                file.upstream_tls.printed(),
            ),
        ] {
            let options: Vec<&str> = help.get_arguments().filter_map(|a| a.get_long()).collect();
            let printed: Vec<&str> = printed.iter().map(|setting| setting.flag).collect();
            assert_eq!(printed, options);
        }
    }
}
