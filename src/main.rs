//! The `qsync` command.

fn main() {}
