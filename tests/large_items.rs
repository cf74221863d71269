//! Items far larger than the default limit, when the limit allows them.

use std::io::{Read, Write};
use std::net::TcpStream;

use larder::Server;

const SIZE: usize = 80 << 20;

#[test]
fn an_item_of_80_mib_goes_in_by_one_protocol_and_out_by_the_other() {
    let server = Server::builder()
        .memory(256 << 20)
        .max_item_size(100 << 20)
        .start()
        .expect("a server on free ports");
    let value = vec![b'v'; SIZE];

    let mut resp = TcpStream::connect(server.resp_addr()).expect("connect");
    write!(resp, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${SIZE}\r\n").expect("send");
    resp.write_all(&value).expect("send");
    resp.write_all(b"\r\n").expect("send");
    let mut reply = [0; 5];
    resp.read_exact(&mut reply).expect("a reply");
    assert_eq!(&reply, b"+OK\r\n");

    let mut memcached = TcpStream::connect(server.memcached_addr()).expect("connect");
    memcached.write_all(b"get k\r\nquit\r\n").expect("send");
    let mut reply = Vec::new();
    memcached.read_to_end(&mut reply).expect("a reply");
    let head = format!("VALUE k 0 {SIZE}\r\n");
    assert!(reply.starts_with(head.as_bytes()) && reply.ends_with(b"\r\nEND\r\n"));
    assert!(reply[head.len()..head.len() + SIZE] == value);
}
