//! Authentication by SASL with the mechanism PLAIN, as a value: the commands of a client and what follows from them.
//!
//! ```text
//!   sasl auth "PLAIN" [NAME] NUL NAME NUL PASSWORD ──▶ credentials
//!   sasl auth "PLAIN", without data ──▶ continue ──▶ sasl step with the data ──▶ credentials
//! ```
//!
//! The caller decides whether the credentials are a user's. Limits and statuses are those of memcached with `-S`.

use super::header::Header;
use super::request::{Sasl, SaslStep};
use super::{ReplyTo, Status};

/// The names of the mechanisms.
pub(crate) const MECHANISMS: &str = "PLAIN";
/// The text of the reply to a user's credentials.
pub(crate) const ACCEPTED: &str = "Authenticated";

/// Bytes of the longest name of a mechanism, as in memcached.
const LONGEST_MECHANISM: usize = 32;
/// Bytes of the longest data, as in memcached's text protocol. Longer data are discarded, and are no user's.
const LONGEST_DATA: usize = 16384;
/// The opcode of `sasl auth`.
const AUTH: u8 = 0x21;
/// The opcodes that are answered without authentication: version, and those of SASL.
const FREE: [u8; 4] = [0x0b, 0x20, AUTH, 0x22];

/// Whether a request of this opcode is answered before its client has authenticated.
pub(crate) fn is_free(opcode: u8) -> bool {
    FREE.contains(&opcode)
}

impl Sasl<'_> {
    /// The status of a command whose data are discarded, whatever they are. `limit` is the number of bytes that a value
    /// may have.
    pub(crate) fn refusal(&self, limit: usize) -> Option<Status> {
        if self.mechanism.len() > LONGEST_MECHANISM {
            return Some(Status::InvalidArguments);
        }
        if self.length > limit {
            return Some(Status::OutOfMemory);
        }
        (self.length > LONGEST_DATA).then_some(Status::AuthError)
    }
}

/// The authentication of one client.
#[derive(Debug, Default)]
pub(crate) struct PlainExchange {
    /// The data come with the next step.
    started: bool,
}

/// The result of a command of authentication.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SaslOutcome<'d> {
    /// The client asks for [`MECHANISMS`].
    Mechanisms,
    /// The data come with the next command.
    Continue,
    /// A name and a password; `None` if the data are none, or no step was expected.
    Credentials(Option<(&'d [u8], &'d [u8])>),
}

impl PlainExchange {
    /// Takes a command and its data.
    pub(crate) fn step<'d>(&mut self, sasl: &Sasl<'_>, data: &'d [u8]) -> SaslOutcome<'d> {
        if sasl.step == SaslStep::List {
            return SaslOutcome::Mechanisms;
        }
        let starts = sasl.step == SaslStep::Start && sasl.mechanism.eq_ignore_ascii_case(b"PLAIN");
        if starts && data.is_empty() {
            self.started = true;
            return SaslOutcome::Continue;
        }
        // After wrong data in a step the client may send others in a further one.
        self.started &= sasl.step == SaslStep::Continue;
        let is_expected = starts || self.started;
        SaslOutcome::Credentials(name_and_password(data).filter(|_| is_expected))
    }

    /// The credentials were a user's: no further step is expected.
    pub(crate) fn accepted(&mut self) {
        self.started = false;
    }
}

/// The data of PLAIN: the name to act as, which must be empty or the same, the name, and the password.
fn name_and_password(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let (acts_as, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    (acts_as.is_empty() || acts_as == name).then_some((name, password))
}

/// The authentication as a client sends it, and the fields of its reply. The opaque ends a line of text, so that a server
/// without this protocol answers at once, with an error.
pub(crate) fn request(user: &str, password: &str) -> (Vec<u8>, ReplyTo) {
    let to = ReplyTo {
        opcode: AUTH,
        opaque: u32::from_be_bytes(*b"\n\n\n\n"),
    };
    let data = format!("\0{user}\0{password}");
    let header = Header {
        opaque: to.opaque,
        ..Header::request(to.opcode, 0, MECHANISMS.len(), data.len())
    };
    let request = [&header.to_bytes(), MECHANISMS.as_bytes(), data.as_bytes()].concat();
    (request, to)
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Parsed, parse};
    use super::*;

    #[test]
    fn a_request_has_the_credentials_that_it_was_made_of() {
        let (bytes, to) = request("app", "secret\0word");
        let Parsed::Done { request, consumed } = parse(&bytes) else {
            panic!("a request");
        };
        let Command::Sasl(sasl) = request.command else {
            panic!("authentication");
        };
        assert_eq!(request.to, to);
        let outcome = PlainExchange::default().step(&sasl, &bytes[consumed..]);
        let credentials = (&b"app"[..], &b"secret\0word"[..]);
        assert_eq!(outcome, SaslOutcome::Credentials(Some(credentials)));
    }

    #[test]
    fn mechanism_and_data_are_bounded() {
        let refusal = |mechanism: usize, length| {
            let mechanism = vec![b'M'; mechanism];
            let step = SaslStep::Start;
            let sasl = Sasl {
                step,
                mechanism: &mechanism,
                length,
            };
            sasl.refusal(1 << 20)
        };
        assert_eq!(refusal(LONGEST_MECHANISM, LONGEST_DATA), None);
        assert_eq!(
            refusal(LONGEST_MECHANISM + 1, 0),
            Some(Status::InvalidArguments)
        );
        assert_eq!(refusal(5, LONGEST_DATA + 1), Some(Status::AuthError));
        assert_eq!(refusal(5, (1 << 20) + 1), Some(Status::OutOfMemory));
    }
}
