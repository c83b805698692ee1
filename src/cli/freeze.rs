//! From a flag and the configuration to how a node is frozen.

use std::ffi::OsString;

use super::{
    code::Code,
    config::{Channel, Freeze},
    context::Context,
    exit::Failure,
};
use crate::{
    node::{
        freeze::{Method, Settings},
        manager::Manager,
    },
    types::ChannelName,
};

/// How `--freeze` names the methods.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum MethodArg {
    /// The node is stopped already
    Stopped,
    /// Stop it, clone, start it
    StopClone,
    /// Stop it, snapshot its subvolume, start it
    Btrfs,
    /// The script of the configuration
    Command,
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Stopped => Self::Stopped,
            MethodArg::StopClone => Self::StopClone,
            MethodArg::Btrfs => Self::Btrfs,
            MethodArg::Command => Self::Command,
        }
    }
}

/// How the node of a channel is frozen; `answers_at` is where it answers, `HOST:PORT`.
///
/// # Errors
/// When the configuration does not say what the method needs, or says it twice.
pub(crate) fn settings(
    method: Option<MethodArg>,
    channel: &ChannelName,
    configured: &Channel,
    answers_at: Option<String>,
    context: &Context,
) -> Result<Settings, Failure> {
    let (freeze, default) = (&configured.freeze, Settings::default());
    let method = method.map(Method::from).or(freeze.method).unwrap_or_default();
    let settings = Settings {
        method,
        manager: manager(channel, freeze)?,
        script: freeze.command.clone().unwrap_or_default(),
        clone_dir: freeze.clone_dir.clone(),
        max_downtime: freeze.max_downtime.map_or(default.max_downtime, |time| time.0),
        stop_timeout: freeze.stop_timeout.map_or(default.stop_timeout, |time| time.0),
        start_timeout: freeze.start_timeout.map_or(default.start_timeout, |time| time.0),
        reserve_percent: freeze.reserve.map_or(default.reserve_percent, |reserve| reserve.0),
        answers_at,
        watchdog: watchdog(channel, context)?,
    };
    match method {
        Method::StopClone | Method::Btrfs if settings.manager.is_none() => {
            Err(lacks(channel, method, "unit, container, or stop and start"))
        }
        Method::Command if settings.script.is_empty() => Err(lacks(channel, method, "command")),
        Method::Stopped | Method::StopClone | Method::Btrfs | Method::Command => Ok(settings),
    }
}

fn lacks(channel: &ChannelName, method: Method, what: &str) -> Failure {
    let message = format!("the method {} needs {what} in channels.\"{channel}\".freeze", method.name());
    Failure::new(Code::Config, message).hint("docs/agent.md shows the table of each method")
}

fn manager(channel: &ChannelName, freeze: &Freeze) -> Result<Option<Manager>, Failure> {
    let wrong = |what: &str| Err(Failure::new(Code::Config, format!("channels.\"{channel}\".freeze has {what}")));
    match (freeze.unit.clone(), freeze.container.clone(), freeze.stop.clone(), freeze.start.clone()) {
        (None, None, None, None) => Ok(None),
        (Some(unit), None, None, None) => Ok(Some(Manager::Systemd { unit })),
        (None, Some(name), None, None) => {
            Ok(Some(Manager::Container { engine: freeze.engine.clone().unwrap_or_else(|| "docker".to_owned()), name }))
        }
        (None, None, Some(stop), Some(start)) => Ok(Some(Manager::Command { stop, start, status: freeze.status.clone() })),
        (None, None, Some(_), None) => wrong("stop and no start"),
        (None, None, None, Some(_)) => wrong("start and no stop"),
        _ => wrong("more than one of unit, container, and stop with start"),
    }
}

/// The command line of the watchdog. What it needs is in the marker, so that no configuration can keep it from its work.
fn watchdog(channel: &ChannelName, context: &Context) -> Result<Vec<OsString>, Failure> {
    let words = ["qsync", "--config", "/dev/null", "thaw", channel.as_str(), "--watchdog", "--state-dir"];
    let state = std::path::absolute(context.state_dir()?).map_err(|e| Failure::from_error(Code::Io, &e))?;
    Ok(words.iter().map(OsString::from).chain([state.into_os_string()]).collect())
}
