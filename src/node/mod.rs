//! A running node: asked for its health, stopped so that its database is at rest, and started again whatever happens.
//!
//! The rule of the second half is that a node that ran before a run runs after it. A [`marker`] in the state directory says durably, from
//! before the stop until the node answers again, that it is down and how it comes back. Who finds a marker whose run is dead brings the node
//! back: the [`watchdog`] of that run within seconds, any later run, and `qsync thaw`. What they do is decided by [`freeze::plan`].
//! All of that blocks: call it from blocking threads.

pub mod answers;
pub mod btrfs;
mod call;
mod error;
pub mod freeze;
pub mod gate;
pub mod manager;
pub mod marker;
pub mod owner;
pub mod probe;
pub mod rpc;
pub mod script;
pub mod thaw;
pub mod watchdog;

pub use error::Error;
