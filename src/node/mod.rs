//! A running node: asked for its health, stopped so that its database is at rest, and started again whatever happens.
