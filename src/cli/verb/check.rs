//! `qsync check`: whether a provider's node and what is published of it are well.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};

use crate::{
    cli::{
        Code,
        context::Context,
        env,
        exit::Failure,
        gateways::GatewayArgs,
        node_profiles, nodes,
        output::{self, Format},
        rpc::{self, GateArgs, RpcArgs},
        values::{Pin, Span},
    },
    ops::check::{
        self, Check, Options,
        plan::{Finding, State},
    },
    sources::Allowance,
    store::{self, DynReadStore},
    types::ChannelName,
};

const EXAMPLES: &str = "\
Examples:
  qsync check kusama/pruned                    node, stores and data directory from the configuration
  qsync check kusama/pruned --to /srv/store --rpc http://127.0.0.1:9944 --format nagios
  qsync check kusama/pruned --format prometheus
";

/// Check a provider's node and what is published of it
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = "Exit codes: 0 ok, 1 warning, 2 critical, 3 unknown; with --format prometheus 0")]
pub(crate) struct CheckArgs {
    /// The channel
    channel: ChannelName,
    /// Store that should show the head; repeat for several [default: to of the channel]
    #[arg(long, value_name = "STORE", conflicts_with = "from")]
    to: Vec<String>,
    /// Source that should show the head, where it can only be read; repeat for several
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    #[command(flatten)]
    gateways: GatewayArgs,
    #[command(flatten)]
    rpc: RpcArgs,
    #[command(flatten)]
    gate: GateArgs,
    /// What kind of node it is; qsync node list shows them [default: node of the channel, or generic]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Where the disk is looked at [default: data_dir of the channel]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How old the newest snapshot may be [default: 14d]
    #[arg(long, value_name = "TIME")]
    max_snapshot_age: Option<Span>,
    /// How the result is written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Form::Text)]
    format: Form,
    /// The repository to trust: b3: and 64 hex digits [default: what this machine trusts]
    #[arg(long, value_name = "b3:ID")]
    trust: Option<Pin>,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// As a plugin of Nagios and its kin
    Nagios,
    /// As numbers, for the textfile collector
    Prometheus,
    /// As --json
    Json,
}

/// Checks, and says how well everything is.
pub(super) async fn run(args: CheckArgs, context: &Context) -> Result<(), Failure> {
    let form = if context.output.format() == Format::Json { Form::Json } else { args.format };
    match look(args, context).await {
        Ok(check) => show(form, &check, context),
        Err(failure) if form == Form::Nagios => {
            output::stdout(format!("QSYNC UNKNOWN - {}\n", failure.messages.join(": ")).as_bytes());
            Err(Failure { code: Code::CheckUnknown, ..failure })
        }
        Err(failure) => Err(failure),
    }
}

async fn look(args: CheckArgs, context: &Context) -> Result<Check, Failure> {
    let configured = context.config.channel(&args.channel);
    let profile = node_profiles::node(args.node.as_deref(), &[], &configured, context)?.profile;
    let gate = rpc::gate(&args.rpc, &args.gate, &args.channel, &profile, &configured)?;
    let (stores, unopened) = stores(&args, &configured.to, &configured.from, context).await?;
    let max_snapshot_age = args.max_snapshot_age.or(configured.gate.refresh_max_age).unwrap_or(Span::hours(14 * 24)).0;
    let options = Options {
        channel: args.channel,
        gate,
        stores,
        unopened,
        data_dir: args.data_dir.or(configured.data_dir),
        max_snapshot_age,
        pin: args.trust.or(configured.trust).map(|pin| pin.0),
        state: context.open_state()?,
        now: context.now,
        fs: Arc::clone(&context.fs),
    };
    let checked = context.until_stopped(async { Ok(check::run(&options).await?) }).await;
    context.finish_progress();
    checked
}

/// The stores that are published to, or else what is read from.
async fn stores(
    args: &CheckArgs,
    configured_to: &[String],
    configured_from: &[String],
    context: &Context,
) -> Result<(Vec<DynReadStore>, Vec<store::Error>), Failure> {
    let to = env::list(args.to.clone(), "QSYNC_TO", configured_to);
    if args.from.is_empty() && !to.is_empty() {
        let (stores, unopened) = nodes::stores_with_heads(to, context).await?;
        return Ok((stores.into_iter().map(|store| store as DynReadStore).collect(), unopened));
    }
    let from = env::list(args.from.clone(), "QSYNC_FROM", configured_from);
    Ok((context.sources(&from, &args.gateways, &Allowance::default()).await?, Vec::new()))
}

fn show(form: Form, check: &Check, context: &Context) -> Result<(), Failure> {
    let failure = (check.state != State::Ok).then(|| failure(check));
    match form {
        Form::Prometheus => {
            output::stdout(check.metrics().to_text().as_bytes());
            return Ok(());
        }
        Form::Nagios => output::stdout(nagios(check).as_bytes()),
        Form::Text => output::stdout(text(check).as_bytes()),
        Form::Json => {
            let output = output::Output::new(Format::Json);
            match failure {
                Some(failure) if context.output.format() != Format::Json => {
                    // Nobody else writes the last line then.
                    output.item("result", check, |_| String::new());
                    output::json_line(output::Lines::Stdout, &failure.to_json());
                    return Err(failure);
                }
                Some(_) => output.item("result", check, |_| String::new()),
                None => output.summary("check", check, |_| String::new()),
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

fn failure(check: &Check) -> Failure {
    let code = match check.state {
        State::Critical => Code::CheckCritical,
        State::Warning => Code::CheckWarning,
        State::Ok | State::Unknown => Code::CheckUnknown,
    };
    Failure::new(code, format!("{} is not well: {}", check.channel, bad(check))).hint("docs/operations.md says what to do first")
}

/// What is not as it should be, the worst first.
fn bad(check: &Check) -> String {
    let mut bad: Vec<&Finding> = check.findings.iter().filter(|finding| finding.state != State::Ok).collect();
    bad.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    bad.iter().map(|finding| format!("{} {}", finding.name, finding.text)).collect::<Vec<_>>().join("; ")
}

fn word(state: State) -> &'static str {
    match state {
        State::Ok => "OK",
        State::Unknown => "UNKNOWN",
        State::Warning => "WARNING",
        State::Critical => "CRITICAL",
    }
}

fn text(check: &Check) -> String {
    let line = |finding: &Finding| format!("  {:<8}  {:<12}  {}\n", word(finding.state), finding.name, finding.text);
    let refused = check.refused.iter().map(|text| format!("  the node refuses: {text}\n"));
    let lines: String = check.findings.iter().map(line).chain(refused).collect();
    format!("{} {}\n{lines}", check.channel, word(check.state))
}

/// One line that counts, numbers behind a bar, then all findings.
fn nagios(check: &Check) -> String {
    let what = match check.state {
        State::Ok => format!("node at {}, snapshot at {}", number(check.height), number(check.snapshot_height)),
        State::Unknown | State::Warning | State::Critical => bad(check),
    };
    let numbers =
        [("height", check.height), ("peers", check.peers), ("snapshot_height", check.snapshot_height), ("free_bytes", check.free_bytes)];
    let numbers: Vec<String> = numbers.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?))).collect();
    // A bar in the text would end it.
    let head = format!("QSYNC {} - {}: {}", word(check.state), check.channel, what.replace('|', "/"));
    let rest: String = check.findings.iter().map(|f| format!("{}: {} {}\n", word(f.state), f.name, f.text.replace('|', "/"))).collect();
    format!("{head} | {}\n{rest}", numbers.join(" "))
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "an unknown height".to_owned(), |value| value.to_string())
}
