//! The settings of the programs. One structure is the command line, a table of larder.toml and the source of `larder
//! config`'s output, so that the three can't drift apart. A flag overrides the file, the file overrides the default.

mod access;
mod client;
mod invalidate;
mod origin;
mod peers;
mod pool;
mod proxy;
mod serve;
mod settings;
mod target;
mod tls;

pub(super) use access::{Access, AccessOptions, CopyAccessOptions};
pub(super) use client::{CacheServers, ClientOptions, VALUE_LIMIT, WayOptions};
pub(super) use invalidate::InvalidateOptions;
pub(super) use origin::{NamedOrigin, OriginOptions};
pub(super) use peers::PeersOptions;
pub(super) use pool::read_list;
pub(super) use proxy::ProxyOptions;
pub(super) use serve::ServeOptions;
pub(super) use settings::Settings;
pub(super) use target::TargetOptions;
pub(super) use tls::{TlsOptions, UpstreamTlsOptions, reload_listeners, reload_upstreams};
