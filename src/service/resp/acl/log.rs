//! Notes refusals in ACL LOG.

use super::check::Denied;
use super::log_entries::{LogEntry, RefusalKind};
use crate::protocol::resp::CommandArgs;
use crate::service::resp::client_line::describe;
use crate::service::resp::client_state::{ClientState, MULTI};
use crate::service::resp::service_state::ServiceState;
use crate::service::resp::table::CommandEntry;

/// Notes that a client may not run a command.
#[cold]
pub(crate) fn note_denial(
    service: &ServiceState,
    client: &ClientState,
    entry: &CommandEntry,
    args: CommandArgs<'_>,
    denied: Denied,
    in_transaction: bool,
) {
    let (kind, object) = match denied {
        Denied::Command => (RefusalKind::Command, entry.name.as_bytes()),
        Denied::Key(position) => (RefusalKind::Key, args.get(position)),
    };
    let user = client.user().name.to_vec();
    note(service, client, kind, object, user, in_transaction);
}

/// Notes that a client gave a wrong user or password. The name is the client's.
#[cold]
pub(crate) fn note_wrong_password(
    service: &ServiceState,
    client: &ClientState,
    command: &[u8],
    user: &[u8],
) {
    let in_transaction = client.is(MULTI);
    let (kind, user) = (RefusalKind::Authentication, user.to_vec());
    note(service, client, kind, command, user, in_transaction);
    let connection = &client.info.connection;
    log::warn!("resp {}: wrong user or password", connection.peer());
}

fn note(
    service: &ServiceState,
    client: &ClientState,
    kind: RefusalKind,
    object: &[u8],
    user: Vec<u8>,
    in_transaction: bool,
) {
    let mut text = String::new();
    describe(&client.info, 0, &mut text);
    service.users.log.add(LogEntry {
        count: 1,
        kind,
        in_transaction,
        object: object.to_vec(),
        user,
        at_ms: service.store.now_ms(),
        client: text.trim_end().to_owned(),
    });
}
