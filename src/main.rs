//! The `qsync` command. Everything it does is in [`qsync::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    qsync::cli::main(std::env::args_os())
}
