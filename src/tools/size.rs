//! Amounts of memory, as people write them.

/// Reads `64MiB`, `512KiB`, `1GiB` or a plain number of bytes. As in memcached and Redis, `k`, `m` and `g` mean powers
/// of 1,024, with any letters behind them.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}
