//! The command-line tools beside the server.
