//! The program as a user runs it: the built binary, its arguments, its files, its signals, its ends.

mod browser_support;
mod origin_support;
mod proxy_support;
mod server_support;
mod support;
mod tls_support;

mod program {
    pub(crate) mod run;

    mod acl_file;
    mod admin;
    mod admin_labels;
    mod admin_page;
    mod admin_upstreams;
    mod auth_file;
    mod file;
    mod log;
    mod manual;
    mod origin;
    mod origin_access;
    mod origin_sqlite;
    mod password;
    mod protected;
    mod reload;
    mod signals;
    mod snapshot;
    mod start;
    mod systemd;
    mod tls;
    mod udp;
    mod upgrade;
}
