//! `qsync init`: keys, the first root, an empty store, and this machine's trust in it.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;

use crate::{
    catalog::{self, Initialised, StateDir},
    cli::{Code, config, context::Context, exit::Failure, node_profiles, nodes, starter::Starter, values::Pin},
    progress::Event,
    store::Create,
    types::{ChannelName, ChunkSize, Hash, Timestamp},
};

const EXAMPLES: &str = "\
Examples:
  qsync init --to /srv/store --name example
  qsync init --to /srv/store --profile geth ethereum/geth-full /var/lib/geth      and a configuration to begin with
";

/// Make a root key, a publish key and the first root, and pin it on this machine
///
/// One person with one machine holds both keys: whoever takes that machine can publish in your name.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct InitArgs {
    /// Store to set up: a path, file://…, s3://…, ipfs+http://… or a store's name
    #[arg(long, value_name = "STORE")]
    to: String,
    /// Name of the repository, shown to those who first meet it
    #[arg(long, value_name = "NAME", default_value = "qsync")]
    name: String,
    /// Kind of node (qsync node list): write a configuration with comments, and say what to install
    #[arg(long, value_name = "NODE", requires = "channel", requires = "data_dir")]
    profile: Option<String>,
    /// Channel that the node is published in
    #[arg(requires = "profile")]
    channel: Option<ChannelName>,
    /// The node's data directory
    data_dir: Option<PathBuf>,
}

/// What was made. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Made {
    /// Id of the repository, to be pinned by users.
    repo: Hash,
    /// The store.
    store: String,
    /// Whether the repository was there already, so that nothing was made.
    existed: bool,
    /// File with the root key.
    root_key: Option<PathBuf>,
    /// File with the publish key.
    publish_key: Option<PathBuf>,
    /// When the root has to be renewed.
    expires: Option<Timestamp>,
}

/// Makes keys and root and puts them in place.
pub(super) async fn run(args: InitArgs, context: &Context) -> Result<(), Failure> {
    let beginning = beginning(&args, context)?;
    let state = context.open_state()?;
    let mut to = vec![args.to.clone()];
    if let Some(url) = nodes::take_node(&mut to, &context.config)? {
        nodes::open(&url, ChunkSize::DEFAULT, nodes::PATIENCE).await??;
        let (store, initialised) = catalog::init_key_store(&args.name, &state, context.now).await?;
        write(beginning, context)?;
        context.output.summary("init", &made(initialised, store.name(), &state), text);
        return Ok(());
    }
    for store in context.targets(&to, Create::Yes).await? {
        let made = made(catalog::init(&store, &args.name, &state, context.now).await?, store.name(), &state);
        if let Some(text) = catalog::one_writer_warning(&store).await? {
            context.progress().event(Event::Warning { text });
        }
        write(beginning.clone(), context)?;
        context.output.summary("init", &made, text);
    }
    Ok(())
}

/// A configuration to begin with, and where it goes.
#[derive(Clone, Debug)]
struct Beginning {
    file: PathBuf,
    config: String,
    schedule: String,
}

/// Puts the configuration together before anything is made: an unknown profile leaves nothing behind.
fn beginning(args: &InitArgs, context: &Context) -> Result<Option<Beginning>, Failure> {
    let (Some(profile), Some(channel), Some(data_dir)) = (&args.profile, &args.channel, &args.data_dir) else { return Ok(None) };
    let absolute = |path: &Path| std::path::absolute(path).map_err(|e| Failure::from_error(Code::Usage, &e));
    let (profile, data_dir, state_dir) =
        (node_profiles::named(profile, &context.config.node_dirs())?.profile, absolute(data_dir)?, absolute(&context.state_dir()?)?);
    let starter = Starter { channel, profile: &profile, store: &args.to, data_dir: &data_dir, state_dir: &state_dir };
    let file = context.config_file.clone().unwrap_or_else(config::own_file);
    Ok(Some(Beginning { file, config: starter.config(), schedule: starter.schedule() }))
}

/// Writes the configuration where there is none; else it is shown, and nothing of the operator's is touched.
fn write(beginning: Option<Beginning>, context: &Context) -> Result<(), Failure> {
    let Some(Beginning { file, config, schedule }) = beginning else { return Ok(()) };
    let failed = |e: std::io::Error| Failure::from_error(Code::Io, &e).context(format!("cannot write {}", file.display()));
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let written = fs::OpenOptions::new().write(true).create_new(true).open(&file);
    let is_there = matches!(&written, Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists);
    if !is_there {
        written.and_then(|mut open| open.write_all(config.as_bytes()).and_then(|()| open.sync_all())).map_err(failed)?;
    }
    let begun = Begun { file, written: !is_there, config, schedule };
    context.output.item("configuration", &begun, begun_text);
    Ok(())
}

/// A configuration to begin with. Field names are a promise (docs/scripting.md).
#[derive(Debug, Serialize)]
struct Begun {
    /// Where it belongs.
    file: PathBuf,
    /// Whether it was written; not where there is one already.
    written: bool,
    /// Its text.
    config: String,
    /// What to install, for people.
    schedule: String,
}

fn begun_text(begun: &Begun) -> String {
    let config = match begun.written {
        true => format!("{} is written: read it, and change what is not so\n", begun.file.display()),
        false => format!("{} is there already, and is left as it is. This belongs into it:\n\n{}\n", begun.file.display(), begun.config),
    };
    format!("{config}{}\n", begun.schedule)
}

fn made(what: Initialised, store: &str, state: &StateDir) -> Made {
    let store = store.to_owned();
    match what {
        Initialised::Already { repo } => Made { repo, store, existed: true, root_key: None, publish_key: None, expires: None },
        Initialised::Created { repo, root_key, publish_key, expires } => Made {
            repo,
            store,
            existed: false,
            root_key: Some(state.key_path(&root_key)),
            publish_key: Some(state.key_path(&publish_key)),
            expires: Some(expires),
        },
    }
}

fn text(made: &Made) -> String {
    let (Some(root), Some(publish), Some(expires)) = (&made.root_key, &made.publish_key, made.expires) else {
        return format!("{} is set up already, for repository {}\n", made.store, Pin(made.repo));
    };
    format!(
        "repository  {}\nstore       {}\nroot key    {}\npublish key {}\nexpires     {expires}\n\n\
         Users trust it with: qsync trust add {}\n\
         Both keys lie on this machine, unencrypted: whoever takes it can publish in your name. Keep a copy of the root key elsewhere.\n",
        Pin(made.repo),
        made.store,
        root.display(),
        publish.display(),
        Pin(made.repo)
    )
}
