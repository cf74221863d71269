//! One connection of the admin listener: one request, one answer.

use std::sync::Arc;
use std::time::Instant;

use crate::server::{Address, Next, Session, Turn};

use super::exposition::{self, Kind, Metrics};
use super::hosts;
use super::http::{self, Answer, Read, Request, Status};
use super::limits;
use super::monitored::Monitored;
use super::page::PAGE;
use super::process;

/// The state of a connection.
pub(super) struct AdminSession {
    subject: Arc<dyn Monitored>,
    /// The address of larder's end of the connection.
    local: Address,
    opened: Instant,
}

impl AdminSession {
    pub(super) fn new(subject: Arc<dyn Monitored>, local: Address) -> AdminSession {
        AdminSession {
            subject,
            local,
            opened: Instant::now(),
        }
    }

    /// A turn at this time.
    fn turn_at(&self, now: Instant, input: &[u8], output: &mut Vec<u8>) -> Turn {
        match http::read(input) {
            Read::More if now.saturating_duration_since(self.opened) < limits::REQUEST_TIME => {
                return Turn {
                    consumed: 0,
                    next: Next::Read,
                };
            }
            Read::More => Answer::text(
                Status::TooSlow,
                "the request did not arrive in time",
                true,
                output,
            ),
            Read::Refused(status, why) => Answer::text(status, why, true, output),
            Read::Request(request) => self.answer(&request, output),
        }
        Turn {
            consumed: input.len(),
            next: Next::Close,
        }
    }

    fn answer(&self, request: &Request<'_>, output: &mut Vec<u8>) {
        let with_body = request.method != "HEAD";
        let mut text = |status, line: &str| Answer::text(status, line, with_body, output);
        // A browser always names a host.
        let host = request.host;
        if host.is_some_and(|host| !hosts::may_name(&self.local, host)) {
            let line = "requests from this machine name an address or localhost as the host";
            return text(Status::Misdirected, line);
        }
        let page: fn(&Self, bool, &mut Vec<u8>) = match request.path {
            "/" => Self::plots,
            "/metrics" => Self::metrics,
            "/healthz" => Self::health,
            _ => return text(Status::NotFound, "the pages are /, /metrics and /healthz"),
        };
        match request.method {
            "GET" | "HEAD" => page(self, with_body, output),
            _ => text(Status::MethodNotAllowed, "pages are read with GET or HEAD"),
        }
    }

    fn plots(&self, with_body: bool, output: &mut Vec<u8>) {
        let answer = Answer {
            status: Status::Ok,
            content_type: "text/html; charset=utf-8",
            further: &PAGE.headers,
            body: PAGE.text.as_bytes(),
        };
        answer.write(with_body, output);
    }

    fn health(&self, with_body: bool, output: &mut Vec<u8>) {
        match self.subject.health() {
            Ok(()) => Answer::text(Status::Ok, "ok", with_body, output),
            Err(why) => Answer::text(Status::Unavailable, &why, with_body, output),
        }
    }

    fn metrics(&self, with_body: bool, output: &mut Vec<u8>) {
        let mut metrics = Metrics::default();
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("mode", self.subject.mode()),
        ];
        let help = "The version of larder and its subcommand, as labels; always 1.";
        metrics
            .family("larder_build_info", Kind::Gauge, help)
            .sample(&build, 1);
        let healthy = u8::from(self.subject.health().is_ok());
        let help = "Whether /healthz answers 200.";
        metrics.gauge("larder_healthy", help, healthy);
        self.subject.write(&mut metrics);
        process::write(&mut metrics);
        let page = metrics.finish();
        let answer = Answer {
            status: Status::Ok,
            content_type: exposition::CONTENT_TYPE,
            further: "",
            body: page.as_bytes(),
        };
        answer.write(with_body, output);
    }
}

impl Session for AdminSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        self.turn_at(Instant::now(), input, output)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A program whose health a test sets.
    #[derive(Default)]
    struct TestProgram(Mutex<Option<String>>);

    impl Monitored for TestProgram {
        fn mode(&self) -> &'static str {
            "test"
        }

        fn health(&self) -> Result<(), String> {
            self.0.lock().unwrap().clone().map_or(Ok(()), Err)
        }

        fn write(&self, metrics: &mut Metrics) {
            metrics.gauge("larder_test", "A figure.", 7);
        }
    }

    fn session(subject: &Arc<TestProgram>) -> AdminSession {
        let local = Address::Tcp("127.0.0.1:9121".parse().unwrap());
        AdminSession::new(subject.clone(), local)
    }

    /// The status line and the body of the answer to a request, after which the connection closes.
    #[track_caller]
    fn ask(subject: &Arc<TestProgram>, request: &str) -> (String, String) {
        let mut output = Vec::new();
        let turn = session(subject).turn(request.as_bytes(), &mut output);
        assert_eq!((turn.consumed, turn.next), (request.len(), Next::Close));
        let text = String::from_utf8(output).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", body.len());
        let is_head = request.starts_with("HEAD");
        assert!(is_head || head.contains(&length), "{head}");
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn get(subject: &Arc<TestProgram>, path: &str) -> (String, String) {
        let host = "Host: localhost\r\n";
        ask(subject, &format!("GET {path} HTTP/1.1\r\n{host}\r\n"))
    }

    #[test]
    fn the_health_is_that_of_the_program() {
        let subject = Arc::new(TestProgram::default());
        let ok = ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned());
        assert_eq!(get(&subject, "/healthz"), ok);
        *subject.0.lock().unwrap() = Some("the disk is full".into());
        let (status, body) = get(&subject, "/healthz");
        assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(body, "the disk is full\n");
        assert!(get(&subject, "/metrics").1.contains("\nlarder_healthy 0\n"));
    }

    #[test]
    fn the_metrics_begin_with_the_build_and_have_the_program_s_own() {
        let subject = Arc::new(TestProgram::default());
        let (status, body) = get(&subject, "/metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        let build = format!(
            "# HELP larder_build_info The version of larder and its subcommand, as labels; always 1.\n\
             # TYPE larder_build_info gauge\nlarder_build_info{{version=\"{}\",mode=\"test\"}} 1\n",
            env!("CARGO_PKG_VERSION")
        );
        assert!(body.starts_with(&build), "{body}");
        assert!(body.contains("\nlarder_test 7\n"), "{body}");
        assert!(body.contains("\nprocess_start_time_seconds "), "{body}");
    }

    #[test]
    fn head_gets_no_body_and_other_methods_and_paths_are_refused() {
        let subject = Arc::new(TestProgram::default());
        let line = |request: &str| {
            let (status, body) = ask(&subject, &format!("{request}\r\nHost: [::1]\r\n\r\n"));
            (status["HTTP/1.1 ".len()..][..3].to_owned(), body.is_empty())
        };
        for (request, status, is_empty) in [
            ("HEAD /healthz HTTP/1.1", "200", true),
            ("HEAD /metrics HTTP/1.1", "200", true),
            ("HEAD / HTTP/1.1", "200", true),
            ("HEAD /nothing HTTP/1.1", "404", true),
            ("GET /nothing HTTP/1.1", "404", false),
            ("GET /../etc/passwd HTTP/1.1", "404", false),
            ("GET * HTTP/1.1", "404", false),
            ("POST / HTTP/1.1", "405", false),
            ("POST /metrics HTTP/1.1", "405", false),
            ("DELETE /healthz HTTP/1.1", "405", false),
            ("POST /nothing HTTP/1.1", "404", false),
        ] {
            assert_eq!(line(request), (status.to_owned(), is_empty), "{request}");
        }
    }

    #[test]
    fn a_page_that_points_its_name_to_this_machine_reads_nothing() {
        let subject = Arc::new(TestProgram::default());
        let request = "GET /metrics HTTP/1.1\r\nHost: example.com:9121\r\n\r\n";
        let (status, body) = ask(&subject, request);
        assert_eq!(status, "HTTP/1.1 421 Misdirected Request");
        assert!(!body.contains("larder_"), "{body}");
    }

    #[test]
    fn a_head_that_arrives_byte_by_byte_has_to_end_in_time() {
        let subject = Arc::new(TestProgram::default());
        let session = session(&subject);
        let turn = |time| {
            let mut output = Vec::new();
            let turn = session.turn_at(session.opened + time, b"GET / HT", &mut output);
            (turn.next, String::from_utf8(output).unwrap())
        };
        let before = limits::REQUEST_TIME - std::time::Duration::from_millis(1);
        assert_eq!(turn(before), (Next::Read, String::new()));
        let (next, answer) = turn(limits::REQUEST_TIME);
        assert_eq!(next, Next::Close);
        assert!(
            answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
            "{answer}"
        );
    }
}
