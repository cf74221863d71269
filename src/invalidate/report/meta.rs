//! The meaning of memcached's meta commands for invalidation.

use crate::invalidate::change::ReportedChange;
use crate::invalidate::report::{ReportMeaning, ReportReader, answer};
use crate::protocol::framing::request::Request;
use crate::protocol::memcached::text::meta::{base64, flags};
use crate::protocol::memcached::text::{self, KEY_LIMIT};

impl ReportReader {
    /// memcached's meta commands: `ms` and `md`, as far as their answer needs no cache.
    pub(super) fn meta(
        &self,
        request: &Request<'_>,
        changes: &mut Vec<ReportedChange>,
    ) -> ReportMeaning {
        if request.repeat_safe {
            return self.read(request.shape);
        }
        let Some((mut words, _)) = text::rest_of_line(request.bytes) else {
            return answer(b"ERROR\r\n");
        };
        let (verb, key) = (words.next().unwrap_or_default(), words.next());
        let plain = match verb {
            b"ms" => {
                words.next();
                &b"FTIMbq"[..]
            }
            b"md" => b"TIbqx",
            _ => b"",
        };
        let known = |flag: &[u8]| flag.first().is_some_and(|letter| plain.contains(letter));
        let Some(sent) = key.filter(|key| {
            !plain.is_empty() && key.len() <= KEY_LIMIT && words.into_iter().all(known)
        }) else {
            return answer(
                b"SERVER_ERROR larder invalidate accepts ms and md with the flags F, T, I, M, b, x and q; nothing is recorded\r\n",
            );
        };
        let mut decoded = Vec::new();
        let key = match words.into_iter().any(flags::is_base64) {
            true if !base64::decode(sent, &mut decoded) => {
                return answer(b"CLIENT_ERROR error decoding key\r\n");
            }
            true => &decoded,
            false => sent,
        };
        changes.push(ReportedChange::Key(key.into(), None));
        ReportMeaning::Changed((!request.meta.is_quiet()).then_some(b"HD\r\n"[..].into()))
    }
}
