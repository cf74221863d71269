//! The binary: arguments, configuration, logging, then one call into the library.

fn main() {}
