//! The settings of the programs. One structure is the command line, a table of larder.toml and the source of `larder
//! config`'s output, so that the three can't drift apart. A flag overrides the file, the file overrides the default.

mod client;
mod invalidate;
mod pool;
mod proxy;
mod serve;
mod target;
mod tls;

pub(super) use client::{Cache, ClientOptions, VALUE_LIMIT};
pub(super) use invalidate::InvalidateOptions;
pub(super) use pool::read_list;
pub(super) use proxy::ProxyOptions;
pub(super) use serve::{ServeOptions, Settings};
pub(super) use target::TargetOptions;
pub(super) use tls::{TlsOptions, UpstreamTlsOptions, reload_listeners, reload_upstreams};
