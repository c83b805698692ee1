//! `qsync doctor`: looks at a provider's whole set-up, and says what to do about what is wrong.

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        Code, config,
        context::Context,
        env,
        exit::Failure,
        freeze, node_profiles, nodes, reports,
        rpc::{self, GateArgs, RpcArgs},
    },
    node::gate::{
        Gate,
        plan::{Given, Shown},
    },
    ops::{
        doctor::{self, Finding, Health},
        metrics,
    },
    types::ChannelName,
};

const EXAMPLES: &str = "\
Examples:
  qsync doctor                       every channel of the configuration that is published
  qsync doctor kusama/pruned
";

/// Look for what would keep a publish from working: configuration, keys, stores, node, room
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Channels to look at [default: all that are published]
    channels: Vec<ChannelName>,
    /// Store to look at instead of those of the configuration; repeat for several
    #[arg(long, value_name = "STORE")]
    to: Vec<String>,
}

/// How many of each. Field names are a promise (docs/scripting.md).
#[derive(Debug, Default, Serialize)]
struct Counts {
    ok: usize,
    warnings: usize,
    faults: usize,
}

/// Looks, shows each finding as it comes, and fails when one is a fault.
pub(super) async fn run(args: DoctorArgs, context: &Context) -> Result<(), Failure> {
    let mut counts = Counts::default();
    let mut tell = |finding: Finding| {
        match finding.health {
            Health::Ok => counts.ok += 1,
            Health::Warning => counts.warnings += 1,
            Health::Fault => counts.faults += 1,
        }
        context.output.item("finding", &finding, text);
    };
    machine(context).into_iter().for_each(&mut tell);
    let channels = if args.channels.is_empty() { published(context) } else { args.channels };
    for channel in &channels {
        context.until_stopped(async { Ok(look_at(channel, &args.to, context).await) }).await?.into_iter().for_each(&mut tell);
    }
    if channels.is_empty() {
        tell(Finding::warning("channels", "none is published", "set to and data_dir of a channel in the configuration, or name a channel"));
    }
    if counts.faults == 0 {
        context.output.summary("doctor", &counts, |counts| format!("{} looks are fine, {} need attention\n", counts.ok, counts.warnings));
        return Ok(());
    }
    Err(Failure::new(Code::Unwell, format!("{} faults and {} warnings", counts.faults, counts.warnings)))
}

fn published(context: &Context) -> Vec<ChannelName> {
    context.config.channels().filter(|(_, channel)| !channel.to.is_empty()).map(|(name, _)| name.clone()).collect()
}

/// What holds for all channels. That the configuration can be read was found out before.
fn machine(context: &Context) -> Vec<Finding> {
    let files: Vec<_> = context.config.files.iter().map(|file| file.display().to_string()).collect();
    let config = match files.is_empty() {
        true => Finding::warning("configuration", "there is none", "qsync init --profile writes one"),
        false => Finding::ok("configuration", files.join(", ")),
    };
    let state = match context.open_state() {
        Ok(state) => doctor::room(&*context.fs, "state directory", state.path()),
        Err(failure) => fault("state directory", &failure),
    };
    vec![config, state]
}

async fn look_at(channel: &ChannelName, to: &[String], context: &Context) -> Vec<Finding> {
    let configured = context.config.channel(channel);
    let mut findings = Vec::new();
    if let Some(dir) = &configured.data_dir {
        findings.push(doctor::room(&*context.fs, "data directory", dir));
    }
    if let Some(file) = &configured.ping_file {
        findings.push(match reports::monitor(None, Some(file)) {
            Ok(_) => Finding::ok("monitor", format!("{} names one", file.display())),
            Err(failure) => fault("monitor", &failure),
        });
    }
    findings.extend(node(channel, &configured, context).await);
    findings.extend(stores(channel, &configured, to, context).await);
    findings.into_iter().map(|finding| Finding { check: format!("{channel}: {}", finding.check), ..finding }).collect()
}

/// The node: whether it is fit, as its gate would ask; whether it could be frozen; and whether a run has left it stopped.
async fn node(channel: &ChannelName, configured: &config::Channel, context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    let profile = match node_profiles::node(None, &[], configured, context) {
        Ok(node) => node.profile,
        Err(failure) => return vec![fault("node", &failure)],
    };
    let rpc = RpcArgs::default();
    let address = rpc::address(&rpc, configured);
    match address.and_then(|address| freeze::settings(None, channel, configured, address, context)) {
        Ok(settings) => findings.push(Finding::ok("freeze", settings.method.name())),
        Err(failure) => findings.push(fault("freeze", &failure)),
    }
    match rpc::gate(&rpc, &GateArgs::default(), channel, &profile, configured) {
        Ok(None) => {}
        Ok(Some(gate)) => findings.push(asked(&gate, context).await),
        Err(failure) => findings.push(fault("node", &failure)),
    }
    if let Ok(state) = context.open_state()
        && metrics::stopped_since(&*context.fs, &state, channel).is_some()
    {
        let hint = Some(format!("unless a publish is under way: qsync thaw {channel}"));
        findings.push(Finding::fault("node", "a run has stopped it and has not started it again", hint));
    }
    findings
}

async fn asked(gate: &Gate, context: &Context) -> Finding {
    let report = gate.ask(&Shown { height: None, genesis: None }, &Given::default(), context.now).await;
    if report.is_met() {
        return Finding::ok("node", format!("{} is fit to be published", report.node));
    }
    let unmet = report.lines().into_iter().filter(|line| line.starts_with("NOT met") || line.starts_with("unknown"));
    let found = format!("{} is not fit: {}", report.node, unmet.collect::<Vec<_>>().join("; "));
    Finding::fault("node", found, Some("docs/operations.md says what each condition means".to_owned()))
}

async fn stores(channel: &ChannelName, configured: &config::Channel, to: &[String], context: &Context) -> Vec<Finding> {
    let words = env::list(to.to_vec(), "QSYNC_TO", &configured.to);
    match (nodes::stores_with_heads(words, context).await, context.open_state()) {
        (Ok((stores, unopened)), Ok(state)) => {
            let closed = unopened.iter().map(|error| Finding::fault(format!("store {}", error.store), error.one_line(), None));
            closed.chain(doctor::stores(&stores, channel, &state, context.now).await).collect()
        }
        (Err(failure), _) | (Ok(_), Err(failure)) => vec![fault("stores", &failure)],
    }
}

fn fault(check: &str, failure: &Failure) -> Finding {
    Finding::fault(check, failure.messages.join(": "), failure.hints.first().cloned())
}

fn text(finding: &Finding) -> String {
    let health = match finding.health {
        Health::Ok => "ok     ",
        Health::Warning => "warning",
        Health::Fault => "FAULT  ",
    };
    let hint = finding.hint.as_ref().map(|hint| format!("        hint: {hint}\n")).unwrap_or_default();
    format!("{health} {}: {}\n{hint}", finding.check, finding.found)
}
