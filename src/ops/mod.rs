//! What else can be done with published snapshots: list, show, diff, export, serve.

pub mod diff;
pub mod export;
pub mod list;
pub mod serve;
pub mod show;
