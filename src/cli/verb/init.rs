//! `qsync init`: keys, the first root, an empty store, and this machine's trust in it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::{
    catalog::{self, Initialised, StateDir},
    cli::{context::Context, exit::Failure, nodes, values::Pin},
    progress::Event,
    store::Create,
    types::{ChunkSize, Hash, Timestamp},
};

const EXAMPLES: &str = "\
Examples:
  qsync init --to /srv/store --name example
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
    let state = context.open_state()?;
    let mut to = vec![args.to];
    if let Some(url) = nodes::take_node(&mut to, &context.config)? {
        nodes::open(&url, ChunkSize::DEFAULT, nodes::PATIENCE).await??;
        let (store, initialised) = catalog::init_key_store(&args.name, &state, context.now).await?;
        context.output.summary("init", &made(initialised, store.name(), &state), text);
        return Ok(());
    }
    for store in context.targets(&to, Create::Yes).await? {
        let made = made(catalog::init(&store, &args.name, &state, context.now).await?, store.name(), &state);
        if let Some(text) = catalog::one_writer_warning(&store).await? {
            context.progress().event(Event::Warning { text });
        }
        context.output.summary("init", &made, text);
    }
    Ok(())
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
