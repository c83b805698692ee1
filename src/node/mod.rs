//! A running node: asked for its health, stopped so that its database is at rest, and started again whatever happens.

pub mod gate;
pub mod probe;
pub mod rpc;
