//! The statuses of replies, and the text that an error has for its body.

/// The status of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    /// The command was done.
    NoError = 0x00,
    /// No item has the key.
    KeyNotFound = 0x01,
    /// The item exists, or has another cas unique.
    KeyExists = 0x02,
    /// An item over the item size.
    TooLarge = 0x03,
    /// Lengths that the command can't have.
    InvalidArguments = 0x04,
    /// A condition of the command did not hold.
    NotStored = 0x05,
    /// The value under an increment or decrement is not a number.
    NonNumeric = 0x06,
    /// Wrong credentials, or a command before authentication.
    AuthError = 0x20,
    /// Authentication goes on with another step.
    AuthContinue = 0x21,
    /// An unknown opcode, or a body that is shorter than its parts.
    UnknownCommand = 0x81,
    /// No memory for an item or an answer.
    OutOfMemory = 0x82,
    /// A command that this program can't execute, though others can.
    NotSupported = 0x83,
    /// A server behind a proxy does not answer. The same request may succeed later.
    TemporaryFailure = 0x86,
}

impl Status {
    /// The number in a header.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// memcached's text for it, the body of an error.
    pub fn text(self) -> &'static str {
        match self {
            Status::NoError | Status::AuthContinue => "",
            Status::KeyNotFound => "Not found",
            Status::KeyExists => "Data exists for key.",
            Status::TooLarge => "Too large.",
            Status::InvalidArguments => "Invalid arguments",
            Status::NotStored => "Not stored.",
            Status::NonNumeric => "Non-numeric server-side value for incr or decr",
            Status::AuthError => "Auth failure.",
            Status::UnknownCommand => "Unknown command",
            Status::OutOfMemory => "Out of memory",
            Status::NotSupported => "Not supported",
            Status::TemporaryFailure => "Temporary failure",
        }
    }
}
