//! The writer of replies, in RESP2 or RESP3.
//!
//! | reply | RESP2 | RESP3 |
//! |---|---|---|
//! | null | `$-1`, or `*-1` in an array's place | `_` |
//! | map of n | `*2n` | `%n` |
//! | set of n | `*n` | `~n` |
//! | double | bulk string | `,1.5` |
//! | boolean | `:1` or `:0` | `#t` or `#f` |
//! | verbatim string | bulk string | `=15`, `txt:` before the text |
//! | push of n | `*n` | `>n` |
//! | big number | bulk string | `(123` |
//!
//! Every method appends to the output of the turn, so a reply costs its bytes and no allocation.
//! The output of one command is bounded: past the bound, a [`ReplyBudget`] may grant more; otherwise further bytes are
//! dropped and [`Reply::overflowed`] is true.

/// Grants memory to a reply while it grows.
pub trait ReplyBudget {
    /// The bytes that the reply may take, now that it needs `bytes`; `None` if it may not have them.
    fn grant(&self, bytes: usize) -> Option<usize>;
}

/// Appends the replies of one command.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    resp3: bool,
    start: usize,
    /// Bytes of the reply that are not in `out`.
    elsewhere: usize,
    budget: Option<&'a dyn ReplyBudget>,
    /// Length of `out` at which no more bytes are appended.
    bound: usize,
    overflowed: bool,
}

impl<'a> Reply<'a> {
    /// Appends at most `limit` bytes to `out`, give or take one element.
    pub fn new(out: &'a mut Vec<u8>, resp3: bool, limit: usize) -> Reply<'a> {
        let start = out.len();
        Reply {
            out,
            resp3,
            start,
            elsewhere: 0,
            budget: None,
            bound: start.saturating_add(limit),
            overflowed: false,
        }
    }

    /// Appends to `out` and takes at most `granted` bytes and those that the budget grants later.
    pub fn within(
        out: &'a mut Vec<u8>,
        resp3: bool,
        granted: usize,
        budget: &'a dyn ReplyBudget,
    ) -> Reply<'a> {
        Reply {
            budget: Some(budget),
            ..Reply::new(out, resp3, granted)
        }
    }

    /// Whether the reply may have this many further bytes, which exceed its bound. If not, it has overflowed.
    #[cold]
    fn grow(&mut self, more: usize) -> bool {
        let needed = self.out.len() - self.start + self.elsewhere + more;
        let budget = self.budget.filter(|_| !self.overflowed);
        match budget.and_then(|budget| budget.grant(needed)) {
            Some(granted) => {
                self.bound = self.start + granted - self.elsewhere;
                true
            }
            None => {
                self.overflowed = true;
                false
            }
        }
    }

    /// The same reply, lent out for a part of it; return its state with [`Reply::absorb`].
    pub(crate) fn lend(&mut self) -> Reply<'_> {
        Reply {
            out: self.out,
            ..*self
        }
    }

    /// Takes over the state of a lent part: its version of RESP, and whether it overflowed.
    pub(crate) fn absorb(&mut self, (resp3, overflowed): (bool, bool)) {
        self.resp3 = resp3;
        self.overflowed |= overflowed;
    }

    /// The state of a lent part, for [`Reply::absorb`].
    pub fn outcome(&self) -> (bool, bool) {
        (self.resp3, self.overflowed)
    }

    /// The start of the next part of the reply.
    pub(crate) fn position(&self) -> usize {
        self.out.len()
    }

    /// The bytes written since [`Reply::position`] was `position`.
    pub(crate) fn since(&self, position: usize) -> &[u8] {
        &self.out[position..]
    }

    /// Removes the bytes written since [`Reply::position`] was `position`.
    pub(crate) fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    /// Whether the client uses RESP3.
    pub fn resp3(&self) -> bool {
        self.resp3
    }

    /// Uses another version from here on.
    pub fn set_resp3(&mut self, resp3: bool) {
        self.resp3 = resp3;
    }

    /// Whether the reply exceeded its bound; it is incomplete then and must not be sent.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether the reply may take so many bytes, which are kept elsewhere until all of it is there. If not, it has overflowed.
    pub(crate) fn may_keep(&mut self, bytes: usize) -> bool {
        self.start.saturating_add(bytes) <= self.bound || self.grow(bytes)
    }

    /// Appends whole elements that were put together elsewhere.
    pub(crate) fn elements(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() <= self.bound || self.grow(bytes.len()) {
            self.out.extend_from_slice(bytes);
        }
    }

    /// `+text`: a status like `OK`. The text has no line end.
    #[inline]
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// `-text`. The text starts with its code (`ERR`, `WRONGTYPE`, …). Line ends, which may come from
    /// a client, are taken off the end of it and become spaces within, as in Redis.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let start = self.out.len() + 1;
        let text = text.as_ref();
        let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let length = text.iter().rposition(|byte| !is_line_end(byte));
        self.line(b'-', &text[..length.map_or(0, |last| last + 1)]);
        let end = self.out.len() - 2;
        for byte in &mut self.out[start..end] {
            if is_line_end(byte) {
                *byte = b' ';
            }
        }
    }

    /// `:value`
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.line(b':', itoa::Buffer::new().format(value).as_bytes());
    }

    /// A bulk string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if self.out.len() + bytes.len() > self.bound && !self.grow(bytes.len()) {
            return;
        }
        self.header(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk string whose bytes are kept elsewhere: returns where in the output they belong, if the reply may have them.
    pub(crate) fn bulk_elsewhere(&mut self, length: usize) -> Option<usize> {
        if self.out.len() + length > self.bound && !self.grow(length) {
            return None;
        }
        self.header(b'$', length);
        self.elsewhere += length;
        self.bound -= length.min(self.bound);
        let at = self.out.len();
        self.out.extend_from_slice(b"\r\n");
        Some(at)
    }

    /// A bulk string that spells an integer.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value in place of a string.
    #[inline]
    pub fn null(&mut self) {
        self.out
            .extend_from_slice(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No value in place of an array.
    pub(crate) fn null_array(&mut self) {
        self.out
            .extend_from_slice(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// The head of an array; its `length` elements follow.
    #[inline]
    pub fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// The head of a map; its `length` pairs follow, key first.
    pub fn map(&mut self, length: usize) {
        if self.resp3 {
            self.header(b'%', length);
        } else {
            self.header(b'*', 2 * length);
        }
    }

    /// The head of a set; its `length` elements follow.
    pub fn set(&mut self, length: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, length);
    }

    /// The head of a push message; its `length` elements follow.
    pub fn push(&mut self, length: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, length);
    }

    /// A truth value.
    pub fn boolean(&mut self, value: bool) {
        self.out.extend_from_slice(match (self.resp3, value) {
            (true, true) => b"#t\r\n",
            (true, false) => b"#f\r\n",
            (false, true) => b":1\r\n",
            (false, false) => b":0\r\n",
        });
    }

    /// A floating point number: its shortest decimal that reads back the same.
    pub fn double(&mut self, value: f64) {
        let mut buffer = ryu::Buffer::new();
        let text = match value {
            f64::INFINITY => "inf",
            f64::NEG_INFINITY => "-inf",
            value if value.is_nan() => "nan",
            value => {
                let text = buffer.format(value);
                text.strip_suffix(".0").unwrap_or(text)
            }
        };
        if self.resp3 {
            self.line(b',', text.as_bytes());
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// An integer of any size, in decimal digits.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.line(b'(', digits.as_bytes());
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Text for people; `format` is three letters, `txt` or `mkd`.
    pub(crate) fn verbatim(&mut self, format: &str, text: &str) {
        if self.resp3 {
            if self.out.len() + text.len() > self.bound && !self.grow(text.len()) {
                return;
            }
            self.header(b'=', format.len() + 1 + text.len());
            self.out.extend_from_slice(format.as_bytes());
            self.out.push(b':');
            self.out.extend_from_slice(text.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    #[inline]
    fn header(&mut self, kind: u8, length: usize) {
        // Nine of ten lengths are short.
        if length < 10 {
            self.out
                .extend_from_slice(&[kind, b'0' + length as u8, b'\r', b'\n']);
        } else {
            self.line(kind, itoa::Buffer::new().format(length).as_bytes());
        }
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        if self.out.len() > self.bound && !self.grow(0) {
            return;
        }
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that `write` appends, in both versions.
    fn both(write: impl Fn(&mut Reply<'_>)) -> [String; 2] {
        [false, true].map(|resp3| {
            let mut out = Vec::new();
            write(&mut Reply::new(&mut out, resp3, usize::MAX));
            String::from_utf8_lossy(&out).into_owned()
        })
    }

    #[test]
    fn each_kind_of_reply_has_its_form_in_both_versions() {
        type Write = fn(&mut Reply<'_>);
        let rows: &[(Write, &str, &str)] = &[
            (|r| r.ok(), "+OK\r\n", "+OK\r\n"),
            (|r| r.simple("PONG"), "+PONG\r\n", "+PONG\r\n"),
            (|r| r.error("ERR a\r\nb"), "-ERR a  b\r\n", "-ERR a  b\r\n"),
            (
                |r| r.integer(i64::MIN),
                ":-9223372036854775808\r\n",
                ":-9223372036854775808\r\n",
            ),
            (|r| r.bulk(b""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (
                |r| r.bulk(b"0123456789"),
                "$10\r\n0123456789\r\n",
                "$10\r\n0123456789\r\n",
            ),
            (|r| r.bulk_integer(-1), "$2\r\n-1\r\n", "$2\r\n-1\r\n"),
            (|r| r.null(), "$-1\r\n", "_\r\n"),
            (|r| r.null_array(), "*-1\r\n", "_\r\n"),
            (|r| r.array(12), "*12\r\n", "*12\r\n"),
            (|r| r.map(6), "*12\r\n", "%6\r\n"),
            (|r| r.set(3), "*3\r\n", "~3\r\n"),
            (|r| r.push(3), "*3\r\n", ">3\r\n"),
            (|r| r.boolean(true), ":1\r\n", "#t\r\n"),
            (|r| r.boolean(false), ":0\r\n", "#f\r\n"),
            (|r| r.double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n"),
            (|r| r.double(3.0), "$1\r\n3\r\n", ",3\r\n"),
            (
                |r| r.double(f64::NEG_INFINITY),
                "$4\r\n-inf\r\n",
                ",-inf\r\n",
            ),
            (|r| r.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
            (
                |r| r.verbatim("txt", "abc"),
                "$3\r\nabc\r\n",
                "=7\r\ntxt:abc\r\n",
            ),
        ];
        for (write, resp2, resp3) in rows {
            assert_eq!(both(write), [*resp2, *resp3]);
        }
    }

    #[test]
    fn a_reply_over_its_bound_is_noticed_and_grows_no_further() {
        let mut out = b"before".to_vec();
        let mut reply = Reply::new(&mut out, false, 100);
        reply.bulk(&[b'x'; 100]);
        assert!(!reply.overflowed());
        reply.bulk(b"y");
        assert!(reply.overflowed());
        for _ in 0..1000 {
            reply.bulk(&[b'z'; 1000]);
            reply.integer(1);
        }
        assert!(out.len() < 300, "{}", out.len());
    }
}
