//! memcached's ASCII authentication: what a client may send before it has given a user name and a password.
//!
//! ```text
//!   set KEY FLAGS EXPTIME BYTES CRLF   the first line: [`first_line`]; key, flags and exptime may be anything
//!   USER PASSWORD CRLF                 the token of that length: [`user_and_password`]
//! ```
//!
//! The rules, with their tolerance, are those of memcached 1.6.45 with `-Y`. Each answer of memcached is a case of
//! [`FirstLine`] or an error of [`user_and_password`].

use memchr::memchr;

use super::limits::LINE_LIMIT;
use super::number::strict_u32;
use super::words::Words;

/// Bytes of the longest token, as in memcached (`MAX_AUTH_REQ_LEN`). For a longer one the answer is
/// [`TOKEN_TOO_LONG`], and none of it is waited for.
const LONGEST_TOKEN: u32 = 16384;
/// Bytes of the shortest line without its `\n`, as in memcached (`MIN_AUTH_REQ_LEN`). A shorter one ends the connection.
const SHORTEST_LINE: usize = 6;
/// Bytes that must have arrived before anything is read, as in memcached.
const LEAST_INPUT: usize = 3;

const UNAUTHENTICATED: &[u8] = b"CLIENT_ERROR unauthenticated\r\n";
const TOKEN_TOO_LONG: &[u8] = b"CLIENT_ERROR auth token too long\r\n";
const BAD_TERMINATION: &[u8] = b"CLIENT_ERROR bad command line termination\r\n";
const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad authentication token format\r\n";
/// The answer to a wrong user name or password.
pub(crate) const FAILURE: &[u8] = b"CLIENT_ERROR authentication failure\r\n";

/// The authentication as a client sends it.
pub(crate) fn request(user: &str, password: &str) -> Vec<u8> {
    let length = user.len() + 1 + password.len();
    format!("set auth 0 0 {length}\r\n{user} {password}\r\n").into_bytes()
}

/// The first line of the input of a client that has not authenticated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FirstLine {
    /// The line has not ended.
    More,
    /// The connection is closed without an answer.
    Close,
    /// Any line that begins no authentication: this is the answer.
    Refused {
        reply: &'static [u8],
        consumed: usize,
    },
    /// A token of so many bytes, its line end included, follows the line.
    Token { length: usize, consumed: usize },
}

/// Reads the first line of the input.
pub(crate) fn first_line(input: &[u8]) -> FirstLine {
    if input.len() < LEAST_INPUT {
        return FirstLine::More;
    }
    let Some(end) = memchr(b'\n', input) else {
        return if input.len() > LINE_LIMIT {
            FirstLine::Close
        } else {
            FirstLine::More
        };
    };
    if end < SHORTEST_LINE {
        return FirstLine::Close;
    }
    // The last byte before the `\n` is taken for a `\r`, whichever it is.
    let line = &input[..end - 1];
    let mut words = Words::new(line.strip_suffix(b"\r").unwrap_or(line)).skip(4);
    let length = words.next().filter(|_| input.starts_with(b"set"));
    let consumed = end + 1;
    let refused = |reply| FirstLine::Refused { reply, consumed };
    match length.and_then(strict_u32) {
        None => refused(UNAUTHENTICATED),
        Some(length) if length > LONGEST_TOKEN => refused(TOKEN_TOO_LONG),
        Some(length) => FirstLine::Token {
            length: length as usize + 2,
            consumed,
        },
    }
}

/// The user name and the password of a token with its line end; the error is the answer.
pub(crate) fn user_and_password(token: &[u8]) -> Result<(&[u8], &[u8]), &'static [u8]> {
    let token = token.strip_suffix(b"\r\n").ok_or(BAD_TERMINATION)?;
    let space = memchr(b' ', token).ok_or(BAD_TOKEN)?;
    Ok((&token[..space], &token[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bounded() {
        let line = |length: u32| format!("set k 0 0 {length}\r\n");
        let longest = line(LONGEST_TOKEN);
        let expected = FirstLine::Token {
            length: LONGEST_TOKEN as usize + 2,
            consumed: longest.len(),
        };
        assert_eq!(first_line(longest.as_bytes()), expected);
        let longer = line(LONGEST_TOKEN + 1);
        let expected = FirstLine::Refused {
            reply: TOKEN_TOO_LONG,
            consumed: longer.len(),
        };
        assert_eq!(first_line(longer.as_bytes()), expected);
    }

    #[test]
    fn a_line_is_bounded() {
        assert_eq!(first_line(&[b'a'; LINE_LIMIT]), FirstLine::More);
        assert_eq!(first_line(&[b'a'; LINE_LIMIT + 1]), FirstLine::Close);
    }

    #[test]
    fn a_password_has_any_bytes() {
        let (user, password) = user_and_password(b"bob a b\r\n\0\r\n").expect("a token");
        assert_eq!((user, password), (&b"bob"[..], &b"a b\r\n\0"[..]));
        assert_eq!(user_and_password(b"bob\r\n"), Err(BAD_TOKEN));
        assert_eq!(user_and_password(b"bob a\n\n"), Err(BAD_TERMINATION));
    }
}
