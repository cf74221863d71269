//! CONFIG: the server's settings under Redis's names; some can be changed while it runs.
//!
//! It has only settings that larder has; `config_parameters` has them. As in Redis, CONFIG SET checks all its pairs before it
//! applies the first.

use super::command_docs::help;
use super::config_parameters::{ConfigParameter, PARAMETERS, Settable, SettableWord, parse_switch};
use super::context::Context;
use super::errors;
use super::glob;
use super::service_state::ServiceState;
use super::table::{ADMIN, CommandSpec, DANGEROUS};

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[CommandSpec::new("config", -2, 0, help)
    .docs(
        GROUP,
        "2.0.0",
        "",
        "A container for commands about settings.",
    )
    .subcommands(&[
        CommandSpec::new("get", -3, ADMIN | DANGEROUS, get).docs(
            GROUP,
            "2.0.0",
            "parameter [parameter ...]",
            "Returns the settings whose names match.",
        ),
        CommandSpec::new("help", 2, 0, help).docs(GROUP, "5.0.0", "", "Shows this list."),
        CommandSpec::new("resetstat", 2, ADMIN | DANGEROUS, resetstat).docs(
            GROUP,
            "2.0.0",
            "",
            "Resets the counters.",
        ),
        CommandSpec::new("rewrite", 2, ADMIN | DANGEROUS, rewrite).docs(
            GROUP,
            "2.8.0",
            "",
            "Answers an error: larder doesn't write its configuration file.",
        ),
        CommandSpec::new("set", -4, ADMIN | DANGEROUS, set).docs(
            GROUP,
            "2.0.0",
            "parameter value [parameter value ...]",
            "Changes settings until the server ends.",
        ),
    ])];

fn get(ctx: &mut Context<'_>) {
    let patterns: Vec<_> = ctx
        .args
        .from(2)
        .iter()
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    let fits = |parameter: &&ConfigParameter| {
        let name = parameter.name.as_bytes();
        patterns.iter().any(|pattern| glob::matches(pattern, name))
    };
    let found: Vec<_> = PARAMETERS.iter().filter(fits).collect();
    ctx.reply.map(found.len());
    for parameter in found {
        ctx.reply.bulk(parameter.name.as_bytes());
        ctx.reply.bulk(&(parameter.get)(ctx.service));
    }
}

fn set(ctx: &mut Context<'_>) {
    let pairs = ctx.args.from(2);
    if pairs.len() % 2 == 1 {
        return ctx.reply.error(errors::SYNTAX);
    }
    let mut changes: Vec<(&'static ConfigParameter, Change<'_>)> = Vec::new();
    for at in (0..pairs.len()).step_by(2) {
        let (name, value) = (pairs.get(at), pairs.get(at + 1));
        let named =
            |parameter: &&ConfigParameter| parameter.name.as_bytes().eq_ignore_ascii_case(name);
        let Some(parameter) = PARAMETERS.iter().find(named) else {
            let text = [
                b"ERR Unknown option or number of arguments for CONFIG SET - '",
                name,
                b"'",
            ];
            return ctx.reply.error(text.concat());
        };
        let repeated = changes.iter().any(|change| change.0.name == parameter.name);
        let checked = if repeated && parameter.set.is_some() {
            Err("duplicate parameter".to_owned())
        } else {
            check(ctx.service, parameter, value)
        };
        match checked {
            Ok(change) => changes.push((parameter, change)),
            Err(why) => {
                return ctx.reply.error(format!(
                    "ERR CONFIG SET failed (possibly related to argument '{}') - {why}",
                    parameter.name
                ));
            }
        }
    }
    changes
        .iter()
        .for_each(|(parameter, change)| change.apply(ctx.service, parameter.name));
    // One of them may be the password.
    ctx.client.refresh_user(&ctx.service.users);
    ctx.reply.ok();
}

/// The change to this value, or the reason why it can't be made.
fn check<'a>(
    service: &ServiceState,
    parameter: &'static ConfigParameter,
    value: &'a [u8],
) -> Result<Change<'a>, String> {
    match &parameter.set {
        None => Err("can't set immutable config".to_owned()),
        Some(Settable::Text(apply)) => Ok(Change::Text(*apply, value)),
        Some(Settable::Switch(apply)) => parse_switch(value)
            .map(|on| Change::Switch(*apply, on))
            .map_err(str::to_owned),
        Some(Settable::List { check, apply }) => check(value)
            .map(|()| Change::Text(*apply, value))
            .map_err(str::to_owned),
        Some(Settable::Word(set)) => {
            let value = set.check(value);
            value.map(|word| Change::Word(set, word))
        }
        Some(Settable::Limited { number, allows }) => {
            let value = number.check(value).and_then(|value| {
                allows(service, value)?;
                Ok(value)
            });
            value.map(|value| Change::Number(number.apply, value))
        }
        Some(Settable::Number(set)) => {
            let value = set.check(value);
            value.map(|value| Change::Number(set.apply, value))
        }
    }
}

/// A change that CONFIG SET has checked.
enum Change<'a> {
    Number(fn(&ServiceState, i64), i64),
    Word(&'static SettableWord, usize),
    Switch(fn(&ServiceState, bool), bool),
    Text(fn(&ServiceState, &[u8]), &'a [u8]),
}

impl Change<'_> {
    fn apply(&self, service: &ServiceState, name: &str) {
        match self {
            Change::Number(apply, value) => {
                apply(service, *value);
                log::info!("{name} is {value} from now on, as a client asked");
            }
            Change::Word(set, word) => {
                (set.apply)(service, *word);
                let word = set.words[*word];
                log::info!("{name} is {word} from now on, as a client asked");
            }
            Change::Switch(apply, on) => {
                apply(service, *on);
                let state = if *on { "on" } else { "off" };
                log::info!("{name} is {state} from now on, as a client asked");
            }
            Change::Text(apply, text) => {
                apply(service, text);
                log::info!("{name} has changed, as a client asked");
            }
        }
    }
}

fn resetstat(ctx: &mut Context<'_>) {
    ctx.service.reset_counts();
    ctx.reply.ok();
}

fn rewrite(ctx: &mut Context<'_>) {
    ctx.reply
        .error("ERR The server is running without a config file");
}
