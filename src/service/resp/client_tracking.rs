//! CLIENT TRACKING and its like, for client side caching, which larder doesn't have.
//!
//! A client that switches it on gets an error, and can go on without it. A request that Redis refuses gets Redis's error instead. A
//! client that switches it off gets the answer of Redis.

use super::arguments::is;
use super::context::Context;
use super::errors;
use crate::protocol::resp::parse_integer;

/// The options of CLIENT TRACKING.
#[derive(Default)]
struct TrackingOptions<'a> {
    redirect: Option<i64>,
    broadcasts: bool,
    opt_in: bool,
    opt_out: bool,
    prefixes: Vec<&'a [u8]>,
}

pub(super) fn tracking(ctx: &mut Context<'_>) {
    let text = match options(ctx) {
        Err(text) => text,
        Ok(_) if is(ctx.args.get(2), "off") => return ctx.reply.ok(),
        Ok(options) if is(ctx.args.get(2), "on") => refusal(&options),
        Ok(_) => errors::SYNTAX.into(),
    };
    ctx.reply.error(text);
}

fn options<'a>(ctx: &Context<'a>) -> Result<TrackingOptions<'a>, Vec<u8>> {
    let mut options = TrackingOptions::default();
    let mut words = ctx.args.from(3).iter().peekable();
    while let Some(word) = words.next() {
        let value = words.peek().copied();
        match value {
            Some(value) if is(word, "redirect") => {
                words.next();
                options.redirect = Some(redirect(ctx, value, options.redirect)?);
            }
            Some(value) if is(word, "prefix") => {
                words.next();
                options.prefixes.push(value);
            }
            _ if is(word, "bcast") => options.broadcasts = true,
            _ if is(word, "optin") => options.opt_in = true,
            _ if is(word, "optout") => options.opt_out = true,
            _ if is(word, "noloop") => {}
            _ => return Err(errors::SYNTAX.into()),
        }
    }
    Ok(options)
}

/// The number of the client that gets the invalidations.
fn redirect(ctx: &Context<'_>, word: &[u8], former: Option<i64>) -> Result<i64, Vec<u8>> {
    if former.is_some() {
        return Err(b"ERR A client can only redirect to a single other client".into());
    }
    let id = parse_integer(word).ok_or(errors::NOT_INTEGER)?;
    match ctx.service.clients.get(id as u64) {
        Some(_) => Ok(id),
        None => Err(b"ERR The client ID you want redirect to does not exist".into()),
    }
}

/// The error of a request to switch tracking on: Redis's if it refuses these options, or else that larder has no tracking.
fn refusal(options: &TrackingOptions<'_>) -> Vec<u8> {
    if !options.broadcasts && !options.prefixes.is_empty() {
        return b"ERR PREFIX option requires BCAST mode to be enabled".into();
    }
    if options.broadcasts && (options.opt_in || options.opt_out) {
        return b"ERR OPTIN and OPTOUT are not compatible with BCAST".into();
    }
    if options.opt_in && options.opt_out {
        return b"ERR You can't specify both OPTIN mode and OPTOUT mode".into();
    }
    let overlapping = |(at, one): (usize, &&'_ [u8])| {
        let mut behind = options.prefixes[at + 1..].iter();
        let other = behind.find(|other| other.starts_with(one) || one.starts_with(other))?;
        Some([*one, *other].map(<[u8]>::to_vec))
    };
    match options.prefixes.iter().enumerate().find_map(overlapping) {
        Some([one, other]) => [
            b"ERR Prefix '",
            &one[..],
            b"' overlaps with another provided prefix '",
            &other,
            b"'. Prefixes for a single client must not overlap.",
        ]
        .concat(),
        None => b"ERR client side caching is not supported".into(),
    }
}

/// Always an error, because no client is in a tracking mode.
pub(super) fn caching(ctx: &mut Context<'_>) {
    ctx.reply.error(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
    );
}

/// Always -1, because no invalidation is redirected.
pub(super) fn getredir(ctx: &mut Context<'_>) {
    ctx.reply.integer(-1);
}

pub(super) fn trackinginfo(ctx: &mut Context<'_>) {
    ctx.reply.map(3);
    ctx.reply.bulk(b"flags");
    ctx.reply.set(1);
    ctx.reply.bulk(b"off");
    ctx.reply.bulk(b"redirect");
    ctx.reply.integer(-1);
    ctx.reply.bulk(b"prefixes");
    ctx.reply.array(0);
}
