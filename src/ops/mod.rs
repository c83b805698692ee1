//! What else can be done with published snapshots: list, show, export, serve.

pub mod export;
pub mod list;
pub mod serve;
pub mod show;
