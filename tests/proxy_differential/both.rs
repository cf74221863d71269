//! A proxy before a server, and a bare server beside it, with the same requests of memcached's protocols.

use std::any::Any;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use larder::Server;
use larder::proxy::Protocol;
use larder::tools::transcript::readable;

use super::proxy_support::{Client, Real, TestProxy, free_port, proxy, settings, upstream};
use super::settle::settled;
use super::streams::Form;

/// The last request of a stream, with a reply that no other request has.
fn ending(form: Form) -> [&'static [u8]; 2] {
    match form {
        Form::Binary => [
            b"\x80\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
            b"\x81\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
        ],
        Form::Text | Form::Meta => [
            b"mn\r\nmn\r\nms last 1 O1234567\r\nx\r\n",
            b"HD O1234567\r\n",
        ],
    }
}

/// The two servers, and the proxy before the first.
pub(crate) struct Both {
    proxy: TestProxy,
    behind: SocketAddr,
    bare: SocketAddr,
    /// They end when these are dropped.
    _servers: Box<dyn Any>,
}

impl Both {
    pub(crate) fn start(protocol: Protocol) -> Both {
        let real = [upstream(protocol), upstream(protocol)];
        let [behind, bare] = real.each_ref().map(|real| real.address);
        Both::before(protocol, [behind, bare], real)
    }

    /// With memcached, started with these arguments; `None` if it is not installed.
    pub(crate) fn with_memcached(arguments: &[&str]) -> Option<Both> {
        let start = || Real::start_with("memcached", free_port(), arguments);
        let real = [start()?, start()?];
        let [behind, bare] = real.each_ref().map(|real| real.address);
        Some(Both::before(Protocol::Memcached, [behind, bare], real))
    }

    fn before(protocol: Protocol, [behind, bare]: [SocketAddr; 2], servers: impl Any) -> Both {
        Both {
            proxy: proxy(settings(protocol), &[behind]),
            behind,
            bare,
            _servers: Box::new(servers),
        }
    }

    /// With larder, which answers malformed requests as the newest memcached does, and so does the proxy.
    pub(crate) fn with_larder() -> Both {
        let config = || Server::builder().nested(false);
        let larders = [(); 2].map(|()| config().start().expect("it starts"));
        let [behind, bare] = larders.each_ref().map(Server::memcached_addr);
        Both::before(Protocol::Memcached, [behind, bare], larders)
    }

    /// The replies to a stream on fresh keys, if they differ.
    pub(crate) fn difference(&self, how: How, requests: &[Vec<u8>]) -> Option<[String; 2]> {
        let replies = self.clients().map(|client| {
            let limit = Some(Duration::from_secs(20));
            let limited = client.0.set_read_timeout(limit);
            limited.expect("a timeout can be set");
            let replies = memcached_replies(client, how, requests);
            let replies = settled(how.form, &replies);
            match how.valid {
                true => replies,
                false => without_words_of_errors(&replies),
            }
        });
        (replies[0] != replies[1]).then_some(replies)
    }

    /// Leaves requests out as long as the rest still shows a difference.
    fn shrunk(&self, how: How, mut requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut at = 0;
        while at < requests.len() {
            let mut fewer = requests.clone();
            fewer.remove(at);
            self.flush(b"flush_all\r\n", b"OK\r\n");
            match self.difference(how, &fewer) {
                Some(_) => requests = fewer,
                None => at += 1,
            }
        }
        self.flush(b"flush_all\r\n", b"OK\r\n");
        requests
    }

    pub(crate) fn flush(&self, request: &[u8], reply: &[u8]) {
        for server in [self.behind, self.bare] {
            Client::connect(server).ask(request, reply);
        }
    }

    /// The addresses of the proxy and of the bare server.
    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        let proxy = self.proxy.running.addresses()[0].tcp();
        [proxy.expect("a TCP listener"), self.bare]
    }

    pub(crate) fn clients(&self) -> [Client; 2] {
        self.addresses().map(Client::connect)
    }

    /// Compares the replies to the stream of this number.
    pub(crate) fn compare(&self, how: How, requests: Vec<Vec<u8>>, number: u64) {
        let Some(replies) = self.difference(how, &requests) else {
            return;
        };
        let smaller = self.shrunk(how, requests);
        let [proxied, bare] = self.difference(how, &smaller).unwrap_or(replies);
        let How { form, valid, .. } = how;
        panic!(
            "{form:?} stream {number} (valid: {valid}):\n{}\nproxy:\n{proxied}\nbare:\n{bare}",
            readable(&smaller.concat())
        );
    }
}

/// How a stream is made and sent.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub(crate) form: Form,
    pub(crate) valid: bool,
    /// The next request is sent when the one before it was answered.
    pub(crate) steps: bool,
}

/// Replies without what is behind `CLIENT_ERROR`.
fn without_words_of_errors(replies: &str) -> String {
    let kind = |line: &str| match line.starts_with("CLIENT_ERROR") {
        true => "CLIENT_ERROR".to_owned(),
        false => line.to_owned(),
    };
    let lines: Vec<String> = replies.split("\\r\\n").map(kind).collect();
    lines.join("\\r\\n")
}

/// The replies up to that of the ending, or to the end of the connection.
pub(crate) fn memcached_replies(mut client: Client, how: How, requests: &[Vec<u8>]) -> Vec<u8> {
    let [request, reply] = ending(how.form);
    let mut got = Vec::new();
    let mut read = |client: &mut Client| {
        let start = got.len();
        while !got[start..].ends_with(reply) {
            let mut piece = [0; 4096];
            match client.receive(&mut piece) {
                Ok(0) => break,
                Ok(length) => got.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    got.extend_from_slice(b"(no reply in time)");
                    break;
                }
                // Bytes that the server has not read make its end a reset.
                Err(_) => break,
            }
        }
    };
    if how.steps {
        for one in requests {
            client.send([one, request].concat());
            read(&mut client);
        }
    } else {
        // The server may close the connection meanwhile.
        let _ = client.0.write_all(&[&requests.concat(), request].concat());
        read(&mut client);
    }
    got
}
