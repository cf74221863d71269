//! Sends one kind of request many times, one after the other, with one client: the load of `benches/client.py`.

use std::error::Error;
use std::time::Instant;

use larder::client::Cache;

/// Keys of a get of many.
const MANY: usize = 100;

/// The requests of a client, one method for each kind.
trait Requests {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>>;
    fn set(&self, key: &str, value: &[u8]) -> Result<(), Box<dyn Error>>;
    /// Returns the number of values.
    fn get_many(&self, keys: &[&str]) -> Result<usize, Box<dyn Error>>;
}

impl Requests for larder::client::Client {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        Ok(Cache::get(self, key)?.map(|item| item.value))
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(Cache::set(self, key, value, None)?)
    }

    fn get_many(&self, keys: &[&str]) -> Result<usize, Box<dyn Error>> {
        Ok(Cache::get_many(self, keys)?.iter().flatten().count())
    }
}

impl Requests for memcache::Client {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        Ok(self.get::<Vec<u8>>(key)?)
    }

    fn set(&self, key: &str, value: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.set(key, value, 0)?)
    }

    fn get_many(&self, keys: &[&str]) -> Result<usize, Box<dyn Error>> {
        Ok(self.gets::<Vec<u8>>(keys)?.len())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, client, kind, address, count] = &arguments[..] else {
        return Err("usage: client-cost larder|memcache-text|memcache-binary get|miss|set|many HOST:PORT COUNT".into());
    };
    let client: Box<dyn Requests> = match &client[..] {
        "larder" => Box::new(larder::client::Client::new(address)),
        "memcache-text" => Box::new(memcache::connect(format!("memcache://{address}?protocol=ascii"))?),
        "memcache-binary" => Box::new(memcache::connect(format!("memcache://{address}"))?),
        other => return Err(format!("`{other}` is none of the clients").into()),
    };
    let value = [b'v'; 100];
    let keys: Vec<String> = (0..MANY).map(|number| format!("user:{number:0>20}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for key in &keys {
        client.set(key, &value)?;
    }
    let started = Instant::now();
    for number in 0..count.parse()? {
        let key = keys[number % MANY];
        let is_right = match &kind[..] {
            "get" => client.get(key)?.is_some_and(|found| found == value),
            "miss" => client.get("none")?.is_none(),
            "set" => client.set(key, &value).is_ok(),
            "many" => client.get_many(&keys)? == MANY,
            other => return Err(format!("`{other}` is none of the requests").into()),
        };
        if !is_right {
            return Err("a reply is not the expected one".into());
        }
    }
    println!("{}", started.elapsed().as_nanos());
    Ok(())
}
