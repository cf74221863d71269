//! The values that options and larder.toml share: sizes, spans of time, addresses. Each is read from text, printed in
//! the same form, and names a correct value in its error.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::server::Listen;
use crate::tools::parse_size;
use serde::de::{Deserialize, Deserializer, Error as _};
use toml::Value;

mod words;

pub(crate) use words::{ModelName, SlowerThan, SpokenProtocolName, TlsVersionName, WhenFullName};

/// An amount of memory in bytes, written `64MiB`, `512KiB`, `1GiB` or as a plain number of bytes.
///
/// As in memcached and Redis, `k`, `m` and `g` mean powers of 1,024, with any letters behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let wrong =
            || format!("`{text}` is not a size; write 64MiB, 512KiB, 1GiB or a number of bytes");
        parse_size(text).map(Size).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// The address of a listener: `HOST:PORT`, the path of a Unix socket (it has a slash), or none (`off`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(pub(crate) Option<Listen>);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        if text == "off" {
            return Ok(Endpoint(None));
        }
        let Ok(listen) = text.parse::<Listen>();
        if let Listen::Tcp(address) = &listen {
            let port = address
                .rsplit_once(':')
                .filter(|(host, _)| !host.is_empty());
            if port.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
                return Err(format!(
                    "`{text}` is not an address to listen on; write 127.0.0.1:11211, [::1]:11211, a path like \
                     /run/larder.sock, port 0 for a free port, or off"
                ));
            }
        }
        Ok(Endpoint(Some(listen)))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("off"),
            Some(listen) => listen.fmt(f),
        }
    }
}

/// A span of time in whole seconds; 0 switches the limit off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) u32);

impl Seconds {
    /// The span, or `None` when it is off.
    pub(crate) fn span(self) -> Option<Duration> {
        (self.0 > 0).then(|| Duration::from_secs(u64::from(self.0)))
    }
}

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seconds, String> {
        let digits = text.strip_suffix('s').unwrap_or(text);
        digits.parse().map(Seconds).map_err(|_| {
            format!(
                "`{text}` is not a number of seconds from 0 (off) to {}",
                u32::MAX
            )
        })
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A span of time, written `500ms`, `30s`, `5m`, `24h`, or as a plain number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// The span, or `None` when it is 0.
    pub(crate) fn off_if_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let wrong =
            || format!("`{text}` is not a span of time; write 500ms, 30s, 5m, 24h, 7d or 0");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit: u64 = match unit {
            "ms" => 1,
            "" | "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 24 * 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        Ok(Span(Duration::from_millis(u64::from(number) * unit)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        const DAY: u128 = 24 * 3_600_000;
        let millis_of = [(DAY, "d"), (DAY / 24, "h"), (60_000, "m"), (1000, "s")];
        for (unit, name) in millis_of {
            // One day is printed as 24h.
            let fits = millis.is_multiple_of(unit) && (unit != DAY || millis > DAY);
            if millis != 0 && fits {
                return write!(f, "{}{name}", millis / unit);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// A number from 1 to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count<const MAX: u32>(pub(crate) u32);

impl<const MAX: u32> FromStr for Count<MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Count<MAX>, String> {
        match text.parse() {
            Ok(number) if (1..=MAX).contains(&number) => Ok(Count(number)),
            _ => Err(format!("`{text}` is not a number from 1 to {MAX}")),
        }
    }
}

/// `on` or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch(pub(crate) bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Switch, String> {
        match text {
            "on" | "true" => Ok(Switch(true)),
            "off" | "false" => Ok(Switch(false)),
            _ => Err(format!("`{text}` is neither on nor off")),
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "on" } else { "off" })
    }
}

/// Text, number or truth value in the file: all are read by the same `FromStr` as on the command line.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(i64),
    Truth(bool),
}

/// Reads a file's value by the `FromStr` that the command line uses, so that both take the same forms.
pub(crate) fn parsed<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    let text = match Scalar::deserialize(deserializer) {
        Ok(Scalar::Text(text)) => text,
        Ok(Scalar::Number(number)) => number.to_string(),
        Ok(Scalar::Truth(truth)) => truth.to_string(),
        Err(_) => {
            return Err(D::Error::custom(
                "expected text in quotes, a whole number, true or false",
            ));
        }
    };
    text.parse().map(Some).map_err(D::Error::custom)
}

/// A setting as `larder config` prints it: its flag, and its value in force or an example.
pub(crate) struct PrintedSetting {
    pub(crate) flag: &'static str,
    pub(crate) value: Option<Value>,
    pub(crate) example: Value,
}

impl PrintedSetting {
    /// A setting that always has a value.
    pub(crate) fn new(flag: &'static str, value: impl ToString) -> PrintedSetting {
        PrintedSetting::optional(flag, Some(text(value)), text(""))
    }

    /// A setting whose value is a number.
    pub(crate) fn number(flag: &'static str, value: impl TryInto<i64>) -> PrintedSetting {
        let number = value.try_into().unwrap_or(i64::MAX);
        PrintedSetting::optional(flag, Some(Value::Integer(number)), text(""))
    }

    /// A number that the program chooses if it is not given; `example` is a possible value.
    pub(crate) fn chosen(
        flag: &'static str,
        number: Option<u32>,
        example: usize,
    ) -> PrintedSetting {
        let integer = |number: i64| Value::Integer(number);
        let example = integer(example.try_into().unwrap_or(i64::MAX));
        PrintedSetting::optional(flag, number.map(|n| integer(n.into())), example)
    }

    /// A path, for which there is no default.
    pub(crate) fn path(
        flag: &'static str,
        path: Option<&PathBuf>,
        example: &str,
    ) -> PrintedSetting {
        let path = path.map(|path| text(path.display()));
        PrintedSetting::optional(flag, path, text(example))
    }

    /// A name, for which there is no default.
    pub(crate) fn name(flag: &'static str, name: Option<&String>, example: &str) -> PrintedSetting {
        PrintedSetting::optional(flag, name.map(text), text(example))
    }

    /// A list of addresses, for which there is no default.
    pub(crate) fn addresses(
        flag: &'static str,
        addresses: Option<&Vec<String>>,
        example: &str,
    ) -> PrintedSetting {
        let list = addresses.map(|list| Value::Array(list.iter().map(text).collect()));
        PrintedSetting::optional(flag, list, Value::Array(vec![text(example)]))
    }

    fn optional(flag: &'static str, value: Option<Value>, example: Value) -> PrintedSetting {
        PrintedSetting {
            flag,
            value,
            example,
        }
    }
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_print_as_written() {
        for (text, bytes, printed) in [
            ("64MiB", 64 << 20, "64MiB"),
            ("64mb", 64 << 20, "64MiB"),
            ("1g", 1 << 30, "1GiB"),
            ("1024", 1024, "1KiB"),
            ("1000", 1000, "1000"),
            ("0", 0, "0"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(
                (size.0, size.to_string().as_str()),
                (bytes, printed),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        for text in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "64 parsecs",
            "99999999999999999999",
            "17179869184GiB",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn spans_are_read_and_print_as_written() {
        for (text, millis, printed) in [
            ("500ms", 500, "500ms"),
            ("30s", 30_000, "30s"),
            ("90", 90_000, "90s"),
            ("5m", 300_000, "5m"),
            ("24h", 86_400_000, "24h"),
            ("0", 0, "0ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_millis(), millis, "{text}");
            assert_eq!(span.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<Span>().unwrap(), span);
        }
        for text in ["", "ms", "-1", "1.5s", "5 days", "99999999999"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn endpoints_are_addresses_paths_or_off() {
        for text in [
            "off",
            "127.0.0.1:0",
            "[::1]:11211",
            "localhost:7",
            "/run/larder.sock",
            "./l.sock",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "11211",
            ":11211",
            "127.0.0.1",
            "127.0.0.1:70000",
            "localhost:http",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
