//! `qsync agent`: publishes on a schedule, on hosts with neither cron nor systemd.

use std::{ffi::OsString, net::SocketAddr, time::Duration};

use clap::Args;
use jiff::tz::TimeZone;

use crate::{
    cli::{
        Code,
        agent::{self, Options, plan::Job},
        context::Context,
        exit::Failure,
        values::Span,
    },
    types::ChannelName,
};

const EXAMPLES: &str = "\
Examples:
  qsync agent                                  every channel with a schedule in the configuration
  qsync agent kusama/pruned --listen 127.0.0.1:9187
";

/// Publish on the schedules of the configuration until interrupted
///
/// Signs each head again when a day went by without, and starts nodes that an interrupted run left stopped.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct AgentArgs {
    /// Channels to publish [default: all that have a schedule]
    channels: Vec<ChannelName>,
    /// Address and port for /healthz and /metrics [default: listen of agent in the configuration, else none]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

/// Works until it is asked to stop, which is how it ends well.
pub(super) async fn run(args: AgentArgs, context: &Context) -> Result<(), Failure> {
    let names = if args.channels.is_empty() { scheduled(context) } else { args.channels };
    let jobs = names.into_iter().map(|channel| job(channel, context)).collect::<Result<Vec<_>, _>>()?;
    if jobs.is_empty() {
        let failure = Failure::new(Code::Config, "no channel has a schedule");
        return Err(failure.hint("set schedule of a channel in the configuration, for example schedule = \"0 3 * * *\""));
    }
    let listen = args.listen.or(context.config.agent_listen());
    agent::run(Options { jobs, listen, global: global(context) }, context).await
}

fn scheduled(context: &Context) -> Vec<ChannelName> {
    context.config.channels().filter(|(_, channel)| channel.schedule.is_some()).map(|(name, _)| name.clone()).collect()
}

fn job(channel: ChannelName, context: &Context) -> Result<Job, Failure> {
    let configured = context.config.channel(&channel);
    let Some(schedule) = configured.schedule else {
        let failure = Failure::new(Code::Config, format!("{channel} has no schedule"));
        return Err(failure.hint("set schedule of the channel in the configuration, for example schedule = \"0 3 * * *\""));
    };
    let zone = configured.time_zone.map_or_else(TimeZone::system, |zone| zone.0);
    Ok(Job { channel, schedule, zone, jitter: configured.jitter.map_or(Duration::ZERO, |Span(jitter)| jitter) })
}

/// The global options as the commands need them: whatever else they need, they read from the configuration themselves.
fn global(context: &Context) -> Vec<OsString> {
    context.global_words.clone()
}
