//! An HTTP request: from bytes to a method, a path and a form, without a socket.
//!
//! `httparse` reads the head. The bounds of head and form are checked before the form has arrived, so a client can't make the
//! shop hold more than [`MOST`] bytes.

use std::borrow::Cow;

/// Bytes of a request's line and headers.
const HEAD: usize = 8 << 10;

/// Bytes of a form.
const FORM: usize = 4 << 10;

/// Headers of a request.
const HEADERS: usize = 48;

/// Bytes of a request.
pub(crate) const MOST: usize = HEAD + FORM;

/// A complete request.
#[derive(Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Without the query.
    pub(crate) path: String,
    /// Behind the question mark.
    pub(crate) query: String,
    /// The body, which is a form.
    pub(crate) form: Vec<u8>,
    /// Whether a page of another site sent it.
    pub(crate) is_foreign: bool,
    /// Whether the connection ends after the answer.
    pub(crate) closes: bool,
}

/// The outcome of reading a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Parsed {
    /// A request, and its length.
    Complete(Request, usize),
    /// More bytes have to arrive.
    Incomplete,
    /// The status of the answer, after which the connection is closed: nobody can tell where the next request begins.
    Bad(u16),
}

/// Reads the request at the start of the input.
pub(crate) fn parse(input: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
        Ok(httparse::Status::Partial) if input.len() < HEAD => return Parsed::Incomplete,
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431),
        Err(httparse::Error::Version) => return Parsed::Bad(505),
        Err(_) => return Parsed::Bad(400),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return Parsed::Bad(400);
    };
    let header = |name: &'static str| {
        let named = head
            .headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value)
    };
    if header("transfer-encoding").next().is_some() {
        return Parsed::Bad(411);
    }
    let form = match content_length(header("content-length")) {
        Ok(form) => form,
        Err(status) => return Parsed::Bad(status),
    };
    let Some(body) = input[length..].get(..form) else {
        return Parsed::Incomplete;
    };
    let host = header("host").next().unwrap_or_default();
    let site = [b"http://", host].concat();
    let says = |word: &str| {
        let mut values = header("connection");
        values.any(|value| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        form: body.to_vec(),
        is_foreign: header("origin").any(|origin| origin != site),
        closes: says("close") || version == 0,
    };
    Parsed::Complete(request, length + form)
}

/// The length of the body, or the status of the answer.
fn content_length<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<usize, u16> {
    let Some(value) = values.next() else {
        return Ok(0);
    };
    let digits = str::from_utf8(value).map_err(|_| 400u16)?;
    if values.next().is_some()
        || digits.is_empty()
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(400);
    }
    // Too many digits are too many bytes.
    let length = digits.parse().unwrap_or(usize::MAX);
    if length > FORM { Err(413) } else { Ok(length) }
}

/// The value of a field in a form or a query, decoded. `None` if it isn't there or is no UTF-8.
pub(crate) fn field(form: &[u8], name: &str) -> Option<String> {
    let mut fields = form.split(|&byte| byte == b'&');
    let value = fields.find_map(|field| field.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(decoded(value).into_owned()).ok()
}

/// `%41` and `+` as they are meant; a `%` without two digits stays.
fn decoded(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'%') && !value.contains(&b'+') {
        return value.into();
    }
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, digit(rest.first()), digit(rest.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &rest[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(*byte),
        }
    }
    bytes.into()
}
