//! `qsync node`: kinds of nodes, and which one a data directory belongs to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::{
    cli::{
        Code,
        context::Context,
        exit::Failure,
        node_profiles::{self, Known},
        output::Format,
    },
    ops::detect::{self, Answer, Detected, Unknown},
    profile::{Chain, Detect, Family, Need, NodeProfile},
    types::RelPath,
};

const LIST_EXAMPLES: &str = "\
Examples:
  qsync node list
  qsync node list --json
";

const SHOW_EXAMPLES: &str = "\
Examples:
  qsync node show geth
  qsync node show cosmos-sdk --json
";

const DETECT_EXAMPLES: &str = "\
Examples:
  qsync node detect /var/lib/geth
";

/// Kinds of nodes: what is published of their directories, and which one a directory belongs to
#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    List(ListArgs),
    Show(ShowArgs),
    Detect(DetectArgs),
}

/// List the node profiles: those built in, and your own
#[derive(Debug, Args)]
#[command(before_help = LIST_EXAMPLES)]
pub(crate) struct ListArgs {}

/// Show one node profile: what is published, what never, and how the node is asked and stopped
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES)]
pub(crate) struct ShowArgs {
    /// Its name
    name: String,
}

/// Tell from its files which node a data directory belongs to, its database engine, and its chain
#[derive(Debug, Args)]
#[command(before_help = DETECT_EXAMPLES)]
pub(crate) struct DetectArgs {
    /// The node's data directory
    data_dir: PathBuf,
}

/// A profile in a list. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Listed<'a> {
    node: &'a str,
    title: &'a str,
    engine: Option<&'a str>,
    file: Option<&'a Path>,
}

#[derive(Debug, Serialize)]
struct ListSummary {
    nodes: usize,
}

/// A profile in full. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Shown<'a> {
    node: &'a str,
    title: &'a str,
    file: Option<&'a Path>,
    client: Option<&'a str>,
    engine: Option<&'a str>,
    publish: &'a [String],
    optional: &'a [String],
    needs: &'a [Need],
    never: &'a [String],
    opaque: &'a [String],
    immutable: &'a [String],
    memory_mapped: &'a [String],
    format_file: Option<&'a RelPath>,
    freezer: Option<&'a RelPath>,
    chains: &'a BTreeMap<String, Chain>,
    detect: &'a Detect,
    labels: &'a BTreeMap<String, Vec<String>>,
    rpc: Option<ShownRpc<'a>>,
    stop_signal: &'a str,
    stop_proof: &'a [RelPath],
}

#[derive(Debug, Serialize)]
struct ShownRpc<'a> {
    family: Family,
    url: &'a str,
    block_seconds: u64,
    max_head_age_seconds: u64,
    min_peers: u64,
}

/// Lists, shows or detects.
pub(super) async fn run(verb: NodeVerb, context: &Context) -> Result<(), Failure> {
    match verb {
        NodeVerb::List(_) => list(context),
        NodeVerb::Show(args) => show(&args, context),
        NodeVerb::Detect(args) => detect(args, context).await,
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let all = node_profiles::all(&context.config.node_dirs())?;
    match context.output.format() {
        Format::Json => all.iter().map(listed).for_each(|row| context.output.item("node", &row, |_| String::new())),
        Format::Text => crate::cli::output::stdout(format!("{}\n", table(&all)).as_bytes()),
    }
    context.output.summary("node list", &ListSummary { nodes: all.len() }, |_| String::new());
    Ok(())
}

fn listed(known: &Known) -> Listed<'_> {
    let profile = &known.profile;
    Listed { node: &profile.name, title: &profile.title, engine: profile.engine.as_deref(), file: known.file.as_deref() }
}

fn table(all: &[Known]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["NODE", "WHAT IT IS", "PUBLISHES", "FROM"]);
    for Known { profile, file } in all {
        let publish = if profile.publish.is_empty() { "everything".to_owned() } else { profile.publish.join(" ") };
        let from = file.as_ref().map_or_else(|| "built in".to_owned(), |file| file.display().to_string());
        table.add_row([profile.name.clone(), profile.title.clone(), publish, from]);
    }
    table
}

fn show(args: &ShowArgs, context: &Context) -> Result<(), Failure> {
    let Known { profile, file } = node_profiles::named(&args.name, &context.config.node_dirs())?;
    context.output.summary("node show", &shown(&profile, file.as_deref()), show_text);
    Ok(())
}

fn shown<'a>(profile: &'a NodeProfile, file: Option<&'a Path>) -> Shown<'a> {
    Shown {
        node: &profile.name,
        title: &profile.title,
        file,
        client: profile.client.as_deref(),
        engine: profile.engine.as_deref(),
        publish: &profile.publish,
        optional: &profile.optional,
        needs: &profile.needs,
        never: profile.never.texts(),
        opaque: profile.opaque.texts(),
        immutable: profile.immutable.texts(),
        memory_mapped: profile.memory_mapped.texts(),
        format_file: profile.format_file.as_ref(),
        freezer: profile.freezer.as_ref(),
        chains: &profile.chains,
        detect: &profile.detect,
        labels: &profile.modes,
        rpc: profile.rpc.as_ref().map(|rpc| ShownRpc {
            family: rpc.family,
            url: &rpc.url,
            block_seconds: rpc.block_time.as_secs(),
            max_head_age_seconds: rpc.max_head_age.as_secs(),
            min_peers: rpc.min_peers,
        }),
        stop_signal: &profile.stop.signal,
        stop_proof: &profile.stop.newer,
    }
}

fn show_text(shown: &Shown<'_>) -> String {
    let labels =
        shown.labels.iter().map(|(key, values)| if values.is_empty() { key.clone() } else { format!("{key}={}", values.join("|")) });
    let rows = [
        ("node", shown.node.to_owned()),
        ("what", shown.title.to_owned()),
        ("from", shown.file.map_or_else(|| "built in".to_owned(), |file| file.display().to_string())),
        ("engine", shown.engine.unwrap_or("told by its files").to_owned()),
        ("publishes", if shown.publish.is_empty() { "everything".to_owned() } else { shown.publish.join(" ") }),
        ("optional", shown.optional.join(" ")),
        ("needs", shown.needs.iter().map(|need| need.path.clone()).collect::<Vec<_>>().join(" ")),
        ("never", shown.never.join(" ")),
        ("chains", shown.chains.keys().cloned().collect::<Vec<_>>().join(" ")),
        ("known by", shown.detect.all.join(" ")),
        ("labels", labels.collect::<Vec<_>>().join(" ")),
        ("rpc", shown.rpc.as_ref().map(|rpc| rpc.url.to_owned()).unwrap_or_default()),
        ("stops on", shown.stop_signal.to_owned()),
    ];
    rows.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| format!("{key:<10} {value}\n")).collect()
}

async fn detect(args: DetectArgs, context: &Context) -> Result<(), Failure> {
    let profiles: Vec<_> = node_profiles::all(&context.config.node_dirs())?.into_iter().map(|known| known.profile).collect();
    let (fs, dir) = (Arc::clone(&context.fs), args.data_dir.clone());
    let asked = tokio::task::spawn_blocking(move || detect::detect(&*fs, &dir, &profiles)).await;
    let answer = asked.map_err(|e| Failure::from_error(Code::Error, &e))??;
    match answer {
        Answer::One(detected) => {
            context.output.summary("node detect", &*detected, detect_text);
            Ok(())
        }
        Answer::Several(names) => Err(several(&args.data_dir, &names)),
        Answer::None(unknown) => Err(none(&args.data_dir, &unknown)),
    }
}

fn detect_text(detected: &Detected) -> String {
    let row = |key: &str, value: Option<String>| value.map(|value| format!("{key:<8} {value}\n")).unwrap_or_default();
    let engine = detected.engine.clone().map(|engine| match &detected.engine_format {
        Some(format) => format!("{engine} {format}"),
        None => engine,
    });
    let same = Some(detected.same_as.join(" ")).filter(|same| !same.is_empty());
    row("node", Some(detected.node.clone()))
        + &row("or", same.map(|same| format!("{same}: they have the same directories")))
        + &row("engine", engine)
        + &row("chain", detected.chain.clone())
        + &row("genesis", detected.genesis.clone())
        + &row("publish", Some(detected.publish.join(" ")))
        + &detected.why.iter().map(|why| format!("because  {why}\n")).collect::<String>()
}

fn several(dir: &Path, names: &[String]) -> Failure {
    let message = format!("{} has the files of several nodes: {}", dir.display(), names.join(", "));
    Failure::new(Code::UnknownNode, message).hint("name the one that is meant: qsync publish … --node NAME")
}

fn none(dir: &Path, unknown: &Unknown) -> Failure {
    let what = unknown.engine.as_ref().map_or_else(String::new, |engine| format!("; it is a {engine} database"));
    let failure = Failure::new(Code::UnknownNode, format!("{} is of no node that a profile describes{what}", dir.display()));
    match &unknown.above {
        Some((above, node)) => failure.hint(format!("{} is the data directory of a {node} node: name that", above.display())),
        None => failure
            .hint("name the node's data directory, which holds the database and its keys")
            .hint("qsync node list shows what there is; --node generic publishes any directory whole"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_says_is_shown_in_words() {
        let profile = NodeProfile::builtin("polkadot-paritydb").unwrap();
        insta::assert_snapshot!(show_text(&shown(&profile, None)), @r"
        node       polkadot-paritydb
        what       Node of the Polkadot SDK with ParityDB
        from       built in
        engine     paritydb
        publishes  chains/{chain}/paritydb/full
        never      keystore chains/*/network secret_ed25519 chains/*/paritydb/parachains lock
        chains     kusama polkadot westend
        known by   chains/*/paritydb/full/metadata
        labels     pruning
        rpc        http://127.0.0.1:9944
        stops on   SIGTERM
        ");
    }

    #[test]
    fn who_names_the_database_is_told_the_data_directory() {
        let unknown = Unknown { engine: Some("pebble 13".into()), above: Some(("/d".into(), "geth".into())) };
        let failure = none(Path::new("/d/geth/chaindata"), &unknown);
        assert_eq!(failure.messages, ["/d/geth/chaindata is of no node that a profile describes; it is a pebble 13 database"]);
        assert_eq!(failure.hints, ["/d is the data directory of a geth node: name that"]);
        assert_eq!((failure.code, several(Path::new("/d"), &["a".into(), "b".into()]).code), (Code::UnknownNode, Code::UnknownNode));
    }
}
