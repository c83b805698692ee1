//! Logs to standard error: off unless `-v`, `-vv` or `RUST_LOG` ask for them.

use std::io;

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` wins over `-v`.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "qsync=info",
        _ => "qsync=trace,info",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // Its own complaint about a closed standard error would be a panic in the middle of a run.
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let _one_already_set_by_whoever_embeds_us = subscriber.try_init();
}
