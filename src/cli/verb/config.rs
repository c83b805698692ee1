//! `qsync config`: what the configuration files say together, and whether they are right.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::{config::Setting, context::Context, exit::Failure, gateways, stores};

const SHOW_EXAMPLES: &str = "\
Examples:
  qsync config show
  qsync config show --origin
";

const CHECK_EXAMPLES: &str = "\
Examples:
  qsync config check
  qsync --config ./new.toml config check
";

/// Show or check the configuration
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    Show(ShowArgs),
    Check(CheckArgs),
}

/// Show every value that is configured
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Say for each value which file sets it
    #[arg(long)]
    origin: bool,
}

/// Check the configuration files
#[derive(Debug, Args)]
#[command(before_help = CHECK_EXAMPLES)]
pub(crate) struct CheckArgs {}

/// A value. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Line<'a> {
    key: &'a [String],
    value: &'a toml::Value,
    file: &'a Path,
}

/// How much is configured.
#[derive(Debug, Serialize)]
struct Shown {
    settings: usize,
}

/// What a check read.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    files: Vec<&'a Path>,
    settings: usize,
}

/// Shows or checks.
pub(super) fn run(verb: ConfigVerb, context: &Context) -> Result<(), Failure> {
    match verb {
        ConfigVerb::Show(args) => {
            show(&args, context);
            Ok(())
        }
        ConfigVerb::Check(CheckArgs {}) => check(context),
    }
}

fn show(args: &ShowArgs, context: &Context) {
    for setting in &context.config.settings {
        let line = Line { key: &setting.path, value: &setting.value, file: &setting.file };
        context.output.item("setting", &line, |_| text(setting, args.origin));
    }
    let all = Shown { settings: context.config.settings.len() };
    context.output.summary("config show", &all, |_| String::new());
}

fn text(setting: &Setting, origin: bool) -> String {
    let comment = if origin { format!("  # {}", setting.file.display()) } else { String::new() };
    format!("{}{comment}\n", setting.to_line())
}

/// The files were read and their keys and types checked already: what is left is that names and URLs mean something.
fn check(context: &Context) -> Result<(), Failure> {
    let config = &context.config;
    for word in config.store_names().into_iter().map(str::to_owned).chain(config.all_stores()) {
        stores::locate(&word, config)?;
    }
    gateways::check(config.gateways())?;
    let checked = Checked { files: config.files.iter().map(AsRef::as_ref).collect(), settings: config.settings.len() };
    context.output.summary("config check", &checked, |checked| match checked.files.as_slice() {
        [] => "no configuration file\n".to_owned(),
        files => files.iter().map(|file| format!("{} is fine\n", file.display())).collect(),
    });
    Ok(())
}
