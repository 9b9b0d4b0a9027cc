//! The example files that are for one job, each in front of a real flupd. Those
//! for a whole site are booted by the cases of `servers/`.

mod apache;
mod behind_proxy;
mod django;
mod flup;
mod folders;
mod haproxy;
mod maintenance;
mod mounted;
mod nginx;
mod restart;
mod sendfile;
mod several;
mod symptoms;
mod table;
mod tls;
