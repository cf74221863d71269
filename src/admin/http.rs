//! Requests and answers of HTTP/1.1, as far as three pages need them: bytes to a request, an answer to bytes.
//!
//! httparse reads the head. A body is not read, because no page takes one and the connection closes after the answer.

use std::io::Write;

use super::limits;

/// The statuses of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    TooSlow,
    Misdirected,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    /// Its number and its name.
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::TooSlow => "408 Request Timeout",
            Status::Misdirected => "421 Misdirected Request",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
        }
    }
}

/// A request whose head has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    /// Without the part behind `?`.
    pub(super) path: &'a str,
    /// The host that it names. HTTP/1.0 may name none.
    pub(super) host: Option<&'a str>,
}

/// The outcome of reading.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    /// The head has not arrived whole.
    More,
    Request(Request<'a>),
    /// It is malformed or too large: the status of the answer, and its sentence.
    Refused(Status, &'static str),
}

/// Reads the head of a request.
pub(super) fn read(input: &[u8]) -> Read<'_> {
    let mut headers = [httparse::EMPTY_HEADER; limits::HEADER_LINES];
    let mut request = httparse::Request::new(&mut headers);
    let too_large = Read::Refused(Status::HeadTooLarge, "the head of the request is too large");
    let (head, is_longer) = match input.get(..limits::HEAD) {
        Some(head) => (head, input.len() > limits::HEAD),
        None => (input, false),
    };
    match request.parse(head) {
        Ok(httparse::Status::Partial) if is_longer => return too_large,
        Ok(httparse::Status::Partial) => return Read::More,
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return too_large,
        Err(_) => return Read::Refused(Status::BadRequest, "this is not a request of HTTP/1.1"),
    }
    let (method, target) = (
        request.method.unwrap_or_default(),
        request.path.unwrap_or_default(),
    );
    let hosts = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let hosts: Vec<&[u8]> = hosts.map(|header| header.value).collect();
    let host = match hosts[..] {
        [] if request.version == Some(0) => Ok(None),
        [host] => str::from_utf8(host).map(Some).map_err(|_| ()),
        _ => Err(()),
    };
    let Ok(host) = host else {
        return Read::Refused(Status::BadRequest, "a request names one host");
    };
    // A client of an HTTP proxy sends the whole address. Its host is used instead of the header's.
    let (host, target) = match target.strip_prefix("http://") {
        Some(rest) => {
            let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(host), target)
        }
        None => (host, target),
    };
    let path = target.split('?').next().unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    Read::Request(Request { method, path, host })
}

/// An answer, which ends its connection.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: Status,
    pub(super) content_type: &'a str,
    /// Further lines of the head, each with its end.
    pub(super) further: &'a str,
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    /// An answer of one line of text.
    pub(super) fn text(status: Status, line: &str, with_body: bool, output: &mut Vec<u8>) {
        let further = match status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            _ => "",
        };
        let body = format!("{line}\n");
        let answer = Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            further,
            body: body.as_bytes(),
        };
        answer.write(with_body, output);
    }

    /// Appends it. Without its body, it is the answer to HEAD.
    pub(super) fn write(&self, with_body: bool, output: &mut Vec<u8>) {
        // Writing to memory can't fail.
        let _ = write!(
            output,
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n{}\r\n",
            self.status.line(),
            self.content_type,
            self.body.len(),
            self.further
        );
        if with_body {
            output.extend_from_slice(self.body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn request(input: &str) -> (&str, &str, &str) {
        match read(input.as_bytes()) {
            Read::Request(Request { method, path, host }) => (method, path, host.unwrap_or("none")),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(input: &[u8]) -> Status {
        match read(input) {
            Read::Refused(status, _) => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_when_its_head_is_whole() {
        let whole = "GET /metrics?x=1 HTTP/1.1\r\nhost: a:1\r\nAccept: */*\r\n\r\n";
        for cut in 0..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..cut]), Read::More, "{cut}");
        }
        assert_eq!(request(whole), ("GET", "/metrics", "a:1"));
        assert_eq!(request("HEAD / HTTP/1.0\r\n\r\n"), ("HEAD", "/", "none"));
        assert_eq!(request("GET /healthz HTTP/1.1\nHost: b\n\n").1, "/healthz");
        let absolute = "GET http://c:2/healthz?q HTTP/1.1\r\nHost: d\r\n\r\n";
        assert_eq!(request(absolute), ("GET", "/healthz", "c:2"));
        let bare = "GET http://c:2 HTTP/1.1\r\nHost: d\r\n\r\n";
        assert_eq!(request(bare), ("GET", "/", "c:2"));
    }

    #[test]
    fn malformed_requests_are_refused() {
        for input in [
            &b"\x16\x03\x01\x02\x00\x01\x00"[..],
            b"get k\r\n",
            b"*1\r\n$4\r\nPING\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        ] {
            let status = refused(input);
            assert_eq!(status, Status::BadRequest, "{}", input.escape_ascii());
        }
    }

    #[test]
    fn a_head_is_bounded_in_bytes_and_in_lines() {
        let head = |padding: usize| {
            let text = format!(
                "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
                "x".repeat(padding)
            );
            (text.len(), text)
        };
        let padding = limits::HEAD - head(0).0;
        assert_eq!(request(&head(padding).1).1, "/");
        assert_eq!(
            refused(head(padding + 1).1.as_bytes()),
            Status::HeadTooLarge
        );
        let unfinished = [b'a'; limits::HEAD + 1];
        assert_eq!(refused(&unfinished), Status::HeadTooLarge);
        assert_eq!(read(&unfinished[..limits::HEAD]), Read::More);
        let lines = |count: usize| {
            let lines = "X: 1\r\n".repeat(count - 1);
            format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
        };
        assert_eq!(request(&lines(limits::HEADER_LINES)).1, "/");
        let status = refused(lines(limits::HEADER_LINES + 1).as_bytes());
        assert_eq!(status, Status::HeadTooLarge);
    }

    #[test]
    fn an_answer_to_head_has_the_length_of_the_body_that_it_leaves_out() {
        let mut output = Vec::new();
        Answer::text(Status::MethodNotAllowed, "no", false, &mut output);
        let text = String::from_utf8(output).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
            "{text}"
        );
        assert!(text.contains("Content-Length: 3\r\n"), "{text}");
        assert!(text.contains("Allow: GET, HEAD\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}
