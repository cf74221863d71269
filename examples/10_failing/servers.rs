//! The file that lists the pool: `host:port weight` in a line, as libketama reads it, and an optional name.

/// One server of the pool.
pub(crate) struct Server {
    pub(crate) address: String,
    /// Its share of the keys is its weight over the sum of all weights.
    pub(crate) weight: u32,
    /// The text that is hashed: the address, unless the line has a third word. A server
    /// with a name can move to another address and keep its keys.
    pub(crate) name: String,
}

/// Reads the list, or returns an error that names the line.
pub(crate) fn parse(text: &str) -> Result<Vec<Server>, String> {
    let mut servers = Vec::new();
    let mut total: u32 = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, weight, name) = match words[..] {
            [] => continue,
            [address, weight] => (address, weight, address),
            [address, weight, name] => (address, weight, name),
            _ => return Err(format!("line {number} is not `host:port weight [name]`")),
        };
        let weight = weight.parse().ok().filter(|weight| *weight > 0);
        let sum = weight.and_then(|weight| total.checked_add(weight));
        let (Some(weight), Some(sum)) = (weight, sum) else {
            return Err(format!(
                "line {number}: a weight is a whole number from 1 on"
            ));
        };
        total = sum;
        servers.push(Server {
            address: address.to_owned(),
            weight,
            name: name.to_owned(),
        });
    }
    if servers.is_empty() {
        return Err("the list has no server".to_owned());
    }
    Ok(servers)
}
