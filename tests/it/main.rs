//! What users and maintainers are promised, tested from outside: one binary, one module for each subject.

mod cli_config;
mod cli_help;
mod command;
mod layering;
