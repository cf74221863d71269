//! UDP: a blocking socket with one thread, which answers one datagram after the other.
//!
//! ```text
//!   socket ──recv_from──▶ buffer ──▶ DatagramSession::answer ──send_to──▶ the sender
//!                ▲                                                          one to many datagrams
//!                └ DatagramSocket::wake, at the end of the server
//! ```
//!
//! Both models of connections have the same thread. It never takes more than one processor, and the system drops the
//! datagrams that come faster than they are answered. So a flood of them takes time from connections as any one busy
//! client would. Nothing is kept about senders, whose addresses may be forged.
//!
//! Cost: a system call for each datagram in either direction, and a buffer for the longest one. An idle socket causes
//! no work: the thread waits without a timeout.
//!
//! Invariant: the thread ends when the server does. Datagrams that have arrived by then are answered, up to
//! [`ANSWERED_AT_END`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use socket2::SockRef;

use super::acceptor::stopped;
use super::connections::{Connection, Connections, Endpoint};
use super::guard;
use super::limits::{
    ACCEPT_LOG_EVERY, ACCEPT_PAUSE, ANSWERED_AT_END, DATAGRAM_SEND_TIMEOUT, LONGEST_DATAGRAM,
};
use super::service::{DatagramService, DatagramSession, Peer};
use super::stream::Address;

/// A bound socket.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    socket: UdpSocket,
    address: SocketAddr,
}

impl DatagramSocket {
    /// Binds the first of a name's addresses that can be bound.
    pub(super) fn bind(address: &str) -> io::Result<DatagramSocket> {
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        let socket = UdpSocket::bind(&addresses[..])?;
        socket.set_write_timeout(Some(DATAGRAM_SEND_TIMEOUT))?;
        let address = socket.local_addr()?;
        Ok(DatagramSocket { socket, address })
    }

    pub(super) fn address(&self) -> Address {
        Address::Udp(self.address)
    }

    // ANCHOR: wake
    /// Makes a blocked read return.
    pub(super) fn wake(&self) {
        // Linux wakes the read, although it reports that such a socket is not connected. Elsewhere an empty datagram does;
        // if the socket has no room for it, the read has others.
        let _ = SockRef::from(&self.socket).shutdown(Shutdown::Read);
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let _ = self.socket.send_to(&[], (ip, self.address.port()));
    }
    // ANCHOR_END: wake
}

/// A socket with its service's session.
pub(super) struct DatagramServer {
    socket: Arc<DatagramSocket>,
    service: Arc<dyn DatagramService>,
    connections: Arc<Connections>,
    peer: Peer,
    session: Box<dyn DatagramSession>,
    buffer: Vec<u8>,
}

impl DatagramServer {
    /// Binds a socket and begins its session.
    pub(super) fn bind(
        address: &str,
        service: Arc<dyn DatagramService>,
        connections: Arc<Connections>,
    ) -> io::Result<DatagramServer> {
        let socket = Arc::new(DatagramSocket::bind(address)?);
        // One record stands for all clients.
        let mut connection = Connection::detached();
        connection.endpoint = Some(Arc::new(Endpoint {
            protocol: "udp",
            address: socket.address(),
        }));
        let peer = Peer {
            connection: Arc::new(connection),
        };
        Ok(DatagramServer {
            session: service.open_socket(peer.clone()),
            socket,
            service,
            connections,
            peer,
            buffer: vec![0; LONGEST_DATAGRAM],
        })
    }

    pub(super) fn socket(&self) -> &Arc<DatagramSocket> {
        &self.socket
    }

    /// Answers datagrams until `stop` is disconnected.
    pub(super) fn run(mut self, stop: &Receiver<()>) {
        let mut last_logged: Option<Instant> = None;
        loop {
            let result = self.answer_one();
            if stopped(stop) {
                return self.answer_rest();
            }
            let Err(error) = result else {
                continue;
            };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            if last_logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_EVERY) {
                last_logged = Some(Instant::now());
                log::error!(
                    "udp {}: can't receive: {error}; trying again every {ACCEPT_PAUSE:?}",
                    self.socket.address
                );
            }
            // The end of the server interrupts this wait.
            if stop.recv_timeout(ACCEPT_PAUSE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    // ANCHOR: answer
    /// Receives a datagram and answers it. An error is the socket's.
    fn answer_one(&mut self) -> io::Result<()> {
        let socket = &self.socket.socket;
        let (length, sender) = socket.recv_from(&mut self.buffer)?;
        let traffic = self.connections.traffic(0);
        traffic.read(length);
        let mut send = |datagram: &[u8]| match socket.send_to(datagram, sender) {
            Ok(length) => traffic.written(length),
            // It is lost, as others may be on their way.
            Err(error) => log::debug!("udp {sender}: a reply was not sent: {error}"),
        };
        let datagram = &self.buffer[..length];
        if !guard::answer(&mut *self.session, sender, datagram, &mut send) {
            self.session = self.service.open_socket(self.peer.clone());
        }
        Ok(())
    }
    // ANCHOR_END: answer

    /// Answers the datagrams that have arrived.
    fn answer_rest(&mut self) {
        if self.socket.socket.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..ANSWERED_AT_END {
            if self.answer_one().is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::{Handle, Running, Server};

    /// Answers each datagram with itself, and panics at `panic`.
    struct Echoes;

    impl DatagramService for Echoes {
        fn open_socket(&self, peer: Peer) -> Box<dyn DatagramSession> {
            assert_eq!(peer.connection.protocol(), "udp");
            Box::new(Echoes)
        }
    }

    impl DatagramSession for Echoes {
        fn answer(&mut self, datagram: &[u8], send: &mut dyn FnMut(&[u8])) {
            assert_ne!(datagram, b"panic", "asked to panic");
            send(datagram);
        }
    }

    fn start() -> (Running, UdpSocket) {
        let running = Server::new(Connections::new())
            .answer_datagrams("127.0.0.1:0".into(), Arc::new(Echoes))
            .start()
            .expect("a free port");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let patience = Duration::from_secs(60);
        socket.set_read_timeout(Some(patience)).expect("set");
        let address = running.addresses()[0].udp().expect("UDP");
        socket.connect(address).expect("an address");
        (running, socket)
    }

    #[track_caller]
    fn echo(socket: &UdpSocket, datagram: &[u8]) {
        socket.send(datagram).expect("sent");
        let mut reply = vec![0; LONGEST_DATAGRAM];
        let length = socket.recv(&mut reply).expect("a reply");
        assert!(reply[..length] == *datagram);
    }

    #[test]
    fn a_panic_costs_one_datagram() {
        let (running, socket) = start();
        echo(&socket, b"one");
        socket.send(b"panic").expect("sent");
        echo(&socket, b"two");
        let counts = Arc::clone(running.connections());
        running.shutdown(Duration::ZERO);
        assert_eq!((counts.bytes_read(), counts.bytes_written()), (11, 6));
        assert_eq!((counts.total(), counts.current()), (0, 0));
    }

    #[test]
    fn the_longest_datagram_arrives_whole() {
        let (_running, socket) = start();
        echo(&socket, b"");
        // The headers of IP and UDP take the rest of 65,535 bytes.
        echo(&socket, &[7; 65_507]);
    }

    #[test]
    fn datagrams_that_have_arrived_are_answered_at_the_end() {
        let address = "127.0.0.1:0";
        let mut server = DatagramServer::bind(address, Arc::new(Echoes), Connections::new())
            .expect("a free port");
        let client = UdpSocket::bind(address).expect("a free port");
        client.set_nonblocking(true).expect("set");
        client.connect(server.socket.address).expect("an address");
        for number in 0..100 {
            client.send(&[number]).expect("sent");
        }
        // It never waits, so the last ones may arrive behind its return.
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut replies = Vec::new();
        while replies.len() < 100 {
            server.answer_rest();
            let mut reply = [0; 8];
            while let Ok(length) = client.recv(&mut reply) {
                replies.extend_from_slice(&reply[..length]);
            }
            assert!(Instant::now() < deadline, "{replies:?}");
        }
        assert!(replies.into_iter().eq(0..100));
    }

    #[test]
    fn a_handle_ends_the_thread() {
        let (running, _socket) = start();
        let handle: Handle = running.handle();
        let ended = std::thread::spawn(move || running.join());
        handle.begin_shutdown(Duration::from_secs(10));
        ended.join().expect("it ends");
    }
}
