//! The commands that change a client's state: its database, its transaction and its watched keys.

use super::model::{Answer, Model, integer};
use super::reply::Reply;

impl Model {
    pub(super) fn of_clients(&mut self, words: &[&str]) -> Answer {
        let (database, client) = (self.database, self.client);
        let state = &mut self.clients[client];
        match words[0] {
            "SELECT" => {
                state.database = integer(words[1])? as usize;
                Ok(Reply::ok())
            }
            "WATCH" if state.queue.is_some() => Err("ERR WATCH inside MULTI is not allowed".into()),
            "WATCH" => {
                let keys = words[1..].iter().map(|key| (database, (*key).to_owned()));
                state.watched.extend(keys);
                Ok(Reply::ok())
            }
            "UNWATCH" => {
                state.watched.clear();
                state.has_changed_key = false;
                Ok(Reply::ok())
            }
            "MULTI" if state.queue.is_some() => Err("ERR MULTI calls can not be nested".into()),
            "MULTI" => {
                state.queue = Some(Vec::new());
                Ok(Reply::ok())
            }
            name => {
                let Some(queue) = state.queue.take() else {
                    return Err(format!("ERR {name} without MULTI"));
                };
                state.watched.clear();
                let has_changed_key = std::mem::take(&mut state.has_changed_key);
                let is_aborted = std::mem::take(&mut state.is_aborted);
                match name {
                    "DISCARD" => Ok(Reply::ok()),
                    _ if is_aborted => {
                        Err("EXECABORT Transaction discarded because of previous errors.".into())
                    }
                    _ if has_changed_key => Ok(Reply::NilArray),
                    _ => Ok(Reply::Array(
                        queue.iter().map(|words| self.run(words)).collect(),
                    )),
                }
            }
        }
    }
}
