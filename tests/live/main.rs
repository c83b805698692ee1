//! qsync beside real programs: web servers, databases, and the stock tools that the documentation names.
//!
//! `tests/run` installs them and runs this; `cargo test` alone leaves it out.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

mod differential;
mod disk_image;
mod egress;
mod geth_disks;
mod geth_node;
mod injected;
mod kubo_rpc;
mod long_run;
mod many_files;
mod outages;
mod over_ipfs;
mod over_nginx;
mod over_s3;
mod programs;
mod real_disks;
mod rocks_db;
mod s3_servers;
mod s3_stores;
mod servers;
mod stock_tools;
#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "what only the other tests need")]
mod support;
mod systemd_units;
mod terraform_config;
mod usage;
