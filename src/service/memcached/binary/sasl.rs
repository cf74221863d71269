//! Authentication by SASL. There is none: its commands are unknown, as in a memcached without the option `-S`.

use crate::protocol::memcached::binary::{Request, Sasl, Status};

use super::commands::Refusal;

/// The reply to a command of authentication, when its data has been discarded.
pub(super) fn answer(request: &Request<'_>, _sasl: &Sasl<'_>) -> Refusal {
    Refusal {
        to: request.to,
        status: Status::UnknownCommand,
    }
}
