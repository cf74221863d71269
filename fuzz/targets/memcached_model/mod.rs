//! Sessions of memcached's text protocol, held against a naive model of the server.
//!
//! ```text
//!   bytes ─▶ decisions ─▶ requests ─┬▶ two sessions of larder, in any pieces ─▶ replies ─┐
//!                                   └▶ model, a map ───────────────────────────▶ replies ─┴▶ equal, but for the numbers of uniques
//! ```

mod base64;
mod classic;
mod meta;
mod meta_requests;
mod meta_words;
mod model;
mod numbers;
mod requests;
mod uniques;

use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Service};
use larder::service::memcached::{Memcached, Settings};
use larder::store::{Clock, Config, Store};

use super::choices::Choices;
use super::sessions::{connect, received};
use model::Model;
use requests::{LARGEST_ITEM, request};
use uniques::Uniques;

/// The clock's first second.
const START: u64 = 1_795_000_000;

/// Compares each reply of larder with the model's.
pub(crate) fn memcached_model(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let clock = Clock::manual(START * 1000);
    let config = Config {
        memory: 16 << 20,
        max_item_size: LARGEST_ITEM,
        shards: 1,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, clock.clone()));
    let settings = Settings {
        max_item_size: LARGEST_ITEM,
        ..Settings::default()
    };
    let service: Arc<dyn Service> = Arc::new(Memcached::new(
        Arc::clone(&store),
        Connections::new(),
        settings,
    ));
    let mut connections = [connect(&service), connect(&service)];
    let mut model = Model::new(START);
    let mut uniques = Uniques::default();
    // The requests so far, for a person who reads a failure.
    let mut sent_before = Vec::new();
    while !choices.is_empty() {
        if choices.one_in(8) {
            let seconds = choices.pick(&[1, 2, 100]);
            clock.advance(Duration::from_secs(seconds));
            model.now += seconds;
            sent_before.extend(format!("(after {seconds} s)\r\n").bytes());
        }
        let connection = &mut connections[choices.below(2)];
        // A pipeline. Its requests have the cas uniques that earlier pipelines have shown.
        let requests: Vec<_> = (0..=choices.below(4))
            .map(|_| request(&mut choices, &model, &uniques))
            .collect();
        let mut sent = Vec::new();
        let mut expected = Vec::new();
        for request in &requests {
            sent.extend(request.bytes(&uniques));
            expected.extend(model.reply(request));
        }
        sent_before.extend(&sent);
        for piece in choices.cut(&sent) {
            connection.write(piece).expect("a session is sound");
        }
        let (reply, has_ended) = received(&mut **connection);
        assert!(
            uniques.agree(&expected, &reply) && !has_ended,
            "{}\nlarder: {}\nmodel:  {}",
            shown(&sent_before),
            shown(&reply),
            shown(&expected)
        );
    }
    drop(connections);
    store.check();
}

/// Bytes for a person to read, without the middle of long values.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let text = line.escape_ascii().to_string();
        match text.len() {
            0..400 => format!("{text}\n"),
            length => format!("{}… ({length})\n", &text[..100]),
        }
    });
    lines.collect()
}
