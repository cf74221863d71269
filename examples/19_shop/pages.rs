//! Requests and their answers: the page with its script, and JSON for the script.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page; `/shop.css` and `/shop.js` belong to it |
//! | `GET /products` | numbers and names |
//! | `GET /products/17` | a product, its source and the time that it took |
//! | `POST /products/17` | changes `price` (12.50) or `name` |
//! | `GET /live?after=N` | the figures, and the reads after the first N |
//! | `POST /cache` | `state=on` or `state=off` |
//!
//! A name of a product may be any text. It leaves the shop in JSON only, and the script sets it as text, so it never becomes a
//! part of the page. The policy in the headers forbids all scripts but the page's own.

use std::io::Write;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::database::Change;
use crate::request::{Request, field};
use crate::shop::{Shop, Switch};

/// The highest price, in cents.
const HIGHEST_PRICE: i64 = 100_000_000;

/// Characters of a name.
const LONGEST_NAME: usize = 80;

const JSON: &str = "application/json";

/// An answer.
pub(crate) struct Response {
    status: u16,
    kind: &'static str,
    body: Vec<u8>,
}

impl Response {
    fn json(status: u16, value: &Value) -> Response {
        Response {
            status,
            kind: JSON,
            body: value.to_string().into_bytes(),
        }
    }

    fn file(kind: &'static str, text: &str) -> Response {
        Response {
            status: 200,
            kind,
            body: text.into(),
        }
    }

    /// A refusal without further explanation.
    pub(crate) fn error(status: u16) -> Response {
        Response::json(status, &json!({ "error": reason(status) }))
    }

    fn refused(why: &str) -> Response {
        Response::json(422, &json!({ "error": why }))
    }

    /// Appends it to a connection's output.
    pub(crate) fn write(&self, closes: bool, output: &mut Vec<u8>) {
        let Response { status, kind, body } = self;
        let (reason, length) = (reason(*status), body.len());
        let connection = if closes { "close" } else { "keep-alive" };
        let written = write!(
            output,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: {connection}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n\r\n"
        );
        written.expect("memory takes all bytes");
        output.extend_from_slice(body);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Internal Server Error",
    }
}

/// Executes a request.
pub(crate) fn answer(shop: &Shop, request: &Request) -> Response {
    let path: Vec<&str> = request.path.split('/').skip(1).collect();
    match (request.method.as_str(), path.as_slice()) {
        ("POST", _) if request.is_foreign => Response::error(403),
        ("GET", [""]) => Response::file("text/html; charset=utf-8", include_str!("page/shop.html")),
        ("GET", ["shop.css"]) => Response::file("text/css", include_str!("page/shop.css")),
        ("GET", ["shop.js"]) => Response::file("text/javascript", include_str!("page/shop.js")),
        ("GET", ["products"]) => answered(shop.names(), |names| Response::json(200, &json!(names))),
        ("GET", ["products", id]) => product(shop, id),
        ("POST", ["products", id]) => change(shop, id, &request.form),
        ("GET", ["live"]) => {
            let after = field(request.query.as_bytes(), "after");
            let after = after.and_then(|after| after.parse().ok());
            let figures = shop.figures(after.unwrap_or_default());
            answered(figures, |figures| Response::json(200, &figures))
        }
        ("POST", ["cache"]) => switch(shop, &request.form),
        (_, [""] | ["shop.css" | "shop.js" | "products" | "live" | "cache"] | ["products", _]) => {
            Response::error(405)
        }
        _ => Response::error(404),
    }
}

/// The answer to a request that the shop could execute; otherwise 500, and a line in the log.
fn answered<T>(
    outcome: Result<T, Box<dyn std::error::Error>>,
    answer: impl FnOnce(T) -> Response,
) -> Response {
    outcome.map(answer).unwrap_or_else(|error| {
        eprintln!("a request failed: {error}");
        Response::error(500)
    })
}

/// A product's number as it stands in a path: digits without zeros in front, so that each product has one address.
fn number(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn product(shop: &Shop, id: &str) -> Response {
    let Some(id) = number(id) else {
        return Response::error(404);
    };
    answered(shop.product(id), |found| match found {
        None => Response::error(404),
        Some(found) => Response::json(
            200,
            &json!({
                "product": found.product,
                "source": found.read.source.name(),
                "micros": found.read.took.as_micros() as u64,
                "age_ms": found.age.as_millis() as u64,
            }),
        ),
    })
}

fn change(shop: &Shop, id: &str, form: &[u8]) -> Response {
    let Some(id) = number(id) else {
        return Response::error(404);
    };
    let mut change = Change::default();
    if let Some(text) = field(form, "price") {
        change.price = cents(&text);
        if change.price.is_none() {
            return Response::refused("a price is a number like 12.50, up to 1000000.00");
        }
    }
    if let Some(name) = field(form, "name") {
        let length = name.chars().count();
        if name.trim().is_empty() || length > LONGEST_NAME || name.chars().any(char::is_control) {
            return Response::refused("a name has 1 to 80 characters, and no control characters");
        }
        change.name = Some(name);
    }
    if change == Change::default() {
        return Response::refused("give a price or a name");
    }
    answered(shop.change(id, &change), |changed| match changed {
        None => Response::error(404),
        Some(recorded) => {
            let state = if recorded {
                "recorded"
            } else {
                "waits in the outbox"
            };
            Response::json(
                200,
                &json!({ "price": change.price, "name": change.name, "invalidation": state }),
            )
        }
    })
}

/// A price in cents from `12`, `12.5` or `12.50`; more than nothing.
fn cents(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
        return None;
    }
    let whole: i64 = whole.parse().ok().filter(|&whole| whole <= HIGHEST_PRICE)?;
    let fraction: i64 = format!("{fraction:0<2}").parse().ok()?;
    let cents = whole * 100 + fraction;
    (1..=HIGHEST_PRICE).contains(&cents).then_some(cents)
}

fn switch(shop: &Shop, form: &[u8]) -> Response {
    let state = field(form, "state");
    let Some(state) = state.and_then(|state| Switch::from_str(&state, false).ok()) else {
        return Response::refused("the state is on or off");
    };
    shop.switch(state);
    Response::json(200, &json!({ "cache_is_on": state == Switch::On }))
}
