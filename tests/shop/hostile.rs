//! Requests that no browser sends: each gets its status, and the connection stays open or is closed as HTTP needs it.

use serde_json::json;

use super::running::{RunningShop, until};

/// After a request: the connection takes the next one, or it is closed.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Open,
    Closed,
}
use Then::{Closed, Open};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")
}

fn post(path: &str, form: &str) -> String {
    let length = form.len();
    format!("POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n{form}")
}

/// A request with these headers.
fn with(headers: &str) -> String {
    format!("POST /cache HTTP/1.1\r\nHost: shop\r\n{headers}\r\n\r\nstate=on")
}

fn headers(number: usize) -> String {
    "A: b\r\n".repeat(number)
}

/// A head of this many bytes.
fn head_of(bytes: usize) -> String {
    let shortest = get("/live?after=").len();
    get(&format!("/live?after={}", "1".repeat(bytes - shortest)))
}

#[test]
fn hostile_requests_get_their_status() {
    let shop = RunningShop::start(&[]);
    let table = [
        // Numbers of products.
        (get("/products/0"), 404, Open),
        (get("/products/017"), 404, Open),
        (get("/products/+17"), 404, Open),
        (get("/products/-1"), 404, Open),
        (get("/products/1e1"), 404, Open),
        (get("/products/%31"), 404, Open),
        (get("/products/301"), 404, Open),
        (get("/products/4294967296"), 404, Open),
        (get("/products/99999999999999999999"), 404, Open),
        (get("/products/"), 404, Open),
        (get("/products/1/2"), 404, Open),
        (get("/products/1%20OR%201=1"), 404, Open),
        (get("/../../etc/passwd"), 404, Open),
        (get("//"), 404, Open),
        (get("*"), 404, Open),
        (post("/products/301", "price=1"), 404, Open),
        (post("/products/x", "price=1"), 404, Open),
        // Methods.
        (get("/").replace("GET", "DELETE"), 405, Open),
        (post("/live", ""), 405, Open),
        (get("/cache"), 405, Open),
        // Forms.
        (post("/products/1", ""), 422, Open),
        (post("/products/1", "price"), 422, Open),
        (post("/products/1", "price="), 422, Open),
        (post("/products/1", "price=0"), 422, Open),
        (post("/products/1", "price=0.00"), 422, Open),
        (post("/products/1", "price=-1"), 422, Open),
        (post("/products/1", "price=1,5"), 422, Open),
        (post("/products/1", "price=1.005"), 422, Open),
        (post("/products/1", "price=1e3"), 422, Open),
        (post("/products/1", "price=NaN"), 422, Open),
        (post("/products/1", "price=1000000.01"), 422, Open),
        (post("/products/1", "price=92233720368547758"), 422, Open),
        (post("/products/1", "price=1000000.00"), 200, Open),
        (post("/products/1", "name="), 422, Open),
        (post("/products/1", "name=+%20"), 422, Open),
        (post("/products/1", "name=a%0Ab"), 422, Open),
        (
            post("/products/1", &format!("name={}", "x".repeat(81))),
            422,
            Open,
        ),
        (
            post("/products/1", &format!("name={}", "%C3%A9".repeat(80))),
            200,
            Open,
        ),
        (post("/cache", "state=maybe"), 422, Open),
        (post("/cache", &format!("{:4096}", "state=on&")), 200, Open),
        // Other sites.
        (
            with("Origin: http://elsewhere\r\nContent-Length: 8"),
            403,
            Open,
        ),
        (with("Origin: null\r\nContent-Length: 8"), 403, Open),
        (with("Origin: http://shop\r\nContent-Length: 8"), 200, Open),
        // Lengths, each beyond its bound, or unclear.
        (with("Content-Length: 4097"), 413, Closed),
        (
            with("Content-Length: 99999999999999999999999999"),
            413,
            Closed,
        ),
        (with("Content-Length: -8"), 400, Closed),
        (with("Content-Length: +8"), 400, Closed),
        (with("Content-Length:"), 400, Closed),
        (with("Content-Length: 8\r\nContent-Length: 8"), 400, Closed),
        (with("Transfer-Encoding: chunked"), 411, Closed),
        (
            with(&format!("{}Content-Length: 8", headers(46))),
            200,
            Open,
        ),
        (
            with(&format!("{}Content-Length: 8", headers(47))),
            431,
            Closed,
        ),
        (head_of(8192), 200, Open),
        (head_of(8193), 431, Closed),
        // Not HTTP.
        ("nonsense\r\n\r\n".into(), 400, Closed),
        ("\0\0\0\0\r\n\r\n".into(), 400, Closed),
        ("GET / HTTP/2.0\r\n\r\n".into(), 505, Closed),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n".into(), 400, Closed),
        ("GET / HTTP/1.0\r\n\r\n".into(), 200, Closed),
        (
            get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
            200,
            Closed,
        ),
    ];
    for (request, status, then) in table {
        let shown: String = request.chars().take(200).collect();
        let mut connection = shop.connect();
        let answer = connection.ask(&request);
        assert_eq!(answer.status, status, "{shown:?}: {answer:?}");
        match then {
            Open => assert_eq!(connection.ask(&get("/products")).status, 200, "{shown:?}"),
            Closed => assert!(connection.is_closed(), "{shown:?}"),
        }
    }
}

#[test]
fn a_head_without_an_end_is_refused_at_its_bound() {
    let shop = RunningShop::start(&[]);
    let mut connection = shop.connect();
    connection.send("GET / HTTP/1.1\r\nA: ");
    connection.send("x".repeat(8192));
    assert_eq!(connection.receive().status, 431);
    assert!(connection.is_closed());
}

#[test]
fn requests_are_answered_in_order_however_they_arrive() {
    let shop = RunningShop::start(&[]);
    let requests = [
        get("/products/1"),
        post("/cache", "state=off"),
        get("/nothing"),
        get("/shop.css"),
    ];
    let mut connection = shop.connect();
    connection.send(requests.concat());
    let statuses = requests.each_ref().map(|_| connection.receive().status);
    assert_eq!(statuses, [200, 200, 404, 200]);
    for byte in requests[1].bytes() {
        connection.send([byte]);
    }
    assert_eq!(connection.receive().status, 200);
}

#[test]
fn a_name_in_html_stays_text() {
    let shop = RunningShop::start(&[]);
    let name = "<script>alert(1)</script>";
    assert_eq!(shop.product(9)["product"]["name"], "Grape jam");
    let changed = shop
        .post("/products/9", "name=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        .json();
    assert_eq!(changed["name"], name);
    until("the new name is read", || {
        shop.product(9)["product"]["name"] == name
    });
    let names = shop.get("/products");
    assert!(
        names.head.contains("Content-Type: application/json\r\n"),
        "{}",
        names.head
    );
    assert!(
        names.head.contains("X-Content-Type-Options: nosniff\r\n"),
        "{}",
        names.head
    );
    assert_eq!(names.json()[8], json!([9, name]));
    assert!(!shop.get("/").body.contains(name));
}
