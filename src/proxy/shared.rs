//! The state that all workers of a proxy share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::Sender;
use subtle::ConstantTimeEq;

use crate::pool::Pool;
use crate::proxy::client_counts::ClientCounts;
use crate::proxy::intercept::Interceptor;
use crate::proxy::settings::Settings;
use crate::server::{ClientTls, Connections};
use crate::upstream::{Login, login};

/// Settings, the pool as it is now, and counts over all workers.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Of the upstreams; clients have to give the same.
    pub(super) password: Option<String>,
    /// The user of the upstreams whose password that is, if not the default one.
    pub(super) user: Option<String>,
    /// TLS towards the upstreams.
    pub(super) upstream_tls: Option<Arc<ClientTls>>,
    /// The clients, of all workers.
    pub(super) connections: Arc<Connections>,
    /// The counts of the clients' requests.
    pub(super) requests: ClientCounts,
    /// Answers requests in place of the upstreams.
    pub(super) interceptor: Option<Arc<dyn Interceptor>>,
    /// The pool, and the number of its changes.
    pool: Mutex<(usize, Arc<Pool>)>,
    /// The same count, to be read without the lock.
    generation: AtomicUsize,
    /// Wakes the thread that asks a cluster for its slots.
    bell: Option<Sender<()>>,
    /// Connections that clients have for themselves.
    pub(super) detached: AtomicUsize,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        password: Option<String>,
        pool: Pool,
        connections: Arc<Connections>,
        interceptor: Option<Arc<dyn Interceptor>>,
        bell: Option<Sender<()>>,
    ) -> Shared {
        Shared {
            settings,
            password,
            user: None,
            upstream_tls: None,
            connections,
            requests: ClientCounts::default(),
            interceptor,
            pool: Mutex::new((0, Arc::new(pool))),
            generation: AtomicUsize::new(0),
            bell,
            detached: AtomicUsize::new(0),
        }
    }

    /// The name of the user of the upstreams.
    pub(super) fn user_name(&self) -> &[u8] {
        self.user.as_deref().unwrap_or("default").as_bytes()
    }

    /// Whether this is the password, in a time that depends on the lengths only. Any is, if there is none.
    pub(super) fn accepts(&self, password: &[u8]) -> bool {
        let expected = self.password.as_deref().map(str::as_bytes);
        expected.is_none_or(|expected| expected.ct_eq(password).into())
    }

    /// Whether this is the user of the upstreams, and its password.
    pub(super) fn is_user(&self, name: &[u8], password: &[u8]) -> bool {
        name == self.user_name() && self.accepts(password)
    }

    /// The user as whom the upstreams are used.
    pub(super) fn login(&self) -> Option<Login<'_>> {
        login(self.user.as_deref(), self.password.as_deref())
    }

    /// The pool as it is now, with the number of its generation.
    pub(super) fn pool(&self) -> (usize, Arc<Pool>) {
        let current = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        (current.0, Arc::clone(&current.1))
    }

    pub(super) fn generation(&self) -> usize {
        self.generation.load(Ordering::Acquire)
    }

    /// Replaces the pool by the result of `change`, if that differs. Returns whether it does.
    pub(super) fn replace(&self, change: impl FnOnce(&Pool) -> Option<Pool>) -> bool {
        let mut current = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(changed) = change(&current.1) else {
            return false;
        };
        *current = (current.0 + 1, Arc::new(changed));
        self.generation.store(current.0, Ordering::Release);
        true
    }

    /// Has the cluster asked for its slots, if this is one.
    pub(super) fn ask_for_slots(&self) {
        if let Some(bell) = &self.bell {
            // One that is full has been rung already.
            let _ = bell.try_send(());
        }
    }
}
