//! Nodes of IPFS among the targets of a command, and the key store that stands in where nothing else is named.

use std::{fs, time::Duration};

use tokio::time::timeout;

use super::{
    code::Code,
    config::Config,
    context::Context,
    exit::{Classify, Failure, one},
    stores::configured_url,
};
use crate::{
    catalog,
    kubo::{self, Auth, ErrorKind, Kubo, KuboUrl},
    publish::ipfs::Target,
    store::{self, Create, DynWriteStore},
    types::{ChunkSize, Form, Forms},
};

/// How long a node may take to say what it is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The same where other stores wait for it.
pub(crate) const PATIENCE_BESIDE_OTHERS: Duration = Duration::from_secs(10);

/// The variable with the secret of a node, and the one with the path of a file that holds it.
const AUTH: &str = "QSYNC_IPFS_AUTH";
const AUTH_FILE: &str = "QSYNC_IPFS_AUTH_FILE";

/// Takes the addresses of nodes out of the targets.
///
/// # Errors
/// When one is no address, or there are several: others pin the CID that the first one has made.
pub(crate) fn take_node(words: &mut Vec<String>, config: &Config) -> Result<Option<KuboUrl>, Failure> {
    let is_node = |word: &String| configured_url(word, config).to_ascii_lowercase().starts_with("ipfs+");
    let (nodes, others): (Vec<String>, Vec<String>) = std::mem::take(words).into_iter().partition(is_node);
    *words = others;
    match nodes.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(configured_url(one, config).parse().map_err(|error| Failure::from_error(Code::Usage, &error))?)),
        [..] => Err(Failure::usage("several nodes of IPFS: a run publishes to one")
            .hint("let the others pin what it has published: ipfs pin add CID")),
    }
}

/// Refuses nodes as targets of a command that copies heads: they have no place for what is replaced.
///
/// # Errors
/// When one is among them.
pub(crate) fn refuse(words: &[String], config: &Config) -> Result<(), Failure> {
    match take_node(&mut words.to_vec(), config)? {
        None => Ok(()),
        Some(node) => Err(Failure::usage(format!("{node} is a node of IPFS, which has no place for heads"))
            .hint("a node takes over a whole snapshot by its CID: ipfs pin add CID")),
    }
}

/// The targets without nodes, which have no heads; where nothing is left, the key store that has those of what is published to a node alone.
///
/// # Errors
/// As [`take_node`] and [`key_store`].
pub(crate) async fn stores_with_heads(
    mut words: Vec<String>,
    context: &Context,
) -> Result<(Vec<DynWriteStore>, Vec<store::Error>), Failure> {
    match (take_node(&mut words, &context.config)?, words.is_empty()) {
        (Some(_), true) => Ok((vec![key_store(context).await?], Vec::new())),
        _ => context.targets_that_open(&words, Create::No).await,
    }
}

/// A node that answers, or why it does not.
///
/// # Errors
/// When its secret cannot be read, or the chunks are too long for IPFS.
pub(crate) async fn open(url: &KuboUrl, chunk_size: ChunkSize, patience: Duration) -> Result<Result<Target, kubo::Error>, Failure> {
    if chunk_size.bytes() > ChunkSize::DEFAULT.bytes() {
        return Err(Failure::usage("chunks of more than 1 MiB do not fit into the blocks of IPFS").hint("leave out --chunk-size"));
    }
    let node = match Kubo::open(url, auth()?) {
        Ok(node) => node,
        Err(error) => return Ok(Err(error)),
    };
    let forms = forms(url).ok_or_else(|| Failure::usage("forms=raw and tree=false leave nothing to publish to IPFS"))?;
    let others = |address: &String| !address.contains("/ip4/127.") && !address.contains("/ip6/::1/");
    let target = |found: kubo::Node| Target {
        addresses: found.addresses.into_iter().filter(others).collect(),
        node: node.clone(),
        forms,
        ipns: url.ipns.clone(),
    };
    Ok(match timeout(patience, node.check()).await {
        Ok(checked) => checked.map(target),
        Err(_) => Err(kubo::Error {
            kind: ErrorKind::Unreachable,
            node: node.name().to_owned(),
            action: "version",
            reason: format!("no answer within {} s", patience.as_secs()),
            source: None,
        }),
    })
}

/// What is to be made: the archive has the frames, the tree has the raw chunks.
fn forms(url: &KuboUrl) -> Option<Forms> {
    let wanted = url.forms.unwrap_or(Forms::Both);
    let made: Vec<Form> = wanted.iter().filter(|form| url.tree || *form != Form::Raw).collect();
    (!made.is_empty()).then(|| Forms::of(&made))
}

/// The secret that the environment has for nodes.
///
/// # Errors
/// When it is none, or its file cannot be read.
pub(crate) fn auth() -> Result<Option<Auth>, Failure> {
    let text = match (std::env::var(AUTH), std::env::var_os(AUTH_FILE)) {
        (Ok(text), _) if !text.is_empty() => text,
        (_, Some(path)) if !path.is_empty() => fs::read_to_string(&path)
            .map_err(|error| Failure::from_error(Code::Config, &error).context(format!("cannot read {} ({AUTH_FILE})", path.display())))?,
        _ => return Ok(None),
    };
    text.trim().parse().map(Some).map_err(|error| Failure::from_error(Code::Config, &error).context(format!("{AUTH} or {AUTH_FILE}")))
}

/// The store for keys, heads and manifests of who publishes to a node alone.
pub(crate) async fn key_store(context: &Context) -> Result<DynWriteStore, Failure> {
    Ok(catalog::key_store(&context.open_state()?).await?)
}

/// What to do when a node says no.
pub(crate) fn hint(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unreachable | ErrorKind::Interrupted | ErrorKind::TimedOut => {
            "is the node running? Start it with `ipfs daemon`, and run the same command again"
        }
        ErrorKind::NotAnRpc => "name the address of its RPC, mostly port 5001 (ipfs config Addresses.API), not that of its gateway",
        ErrorKind::Denied => "set QSYNC_IPFS_AUTH to the secret in API.Authorizations of the node, for example basic:USER:PASSWORD",
        ErrorKind::TooOld { .. } => "update Kubo to 0.40 or newer",
        ErrorKind::NoSpace => {
            "make room on the disk of the node: ipfs repo gc, and start the node again, which removes what it could not finish; or use ?forms=zstd"
        }
        ErrorKind::TooBig | ErrorKind::Missing | ErrorKind::Refused => "ask the node itself: ipfs repo verify, ipfs diag sys",
    }
}

impl Classify for kubo::Error {
    fn classify(&self) -> (Code, Vec<String>) {
        let code = match &self.kind {
            ErrorKind::Unreachable | ErrorKind::Interrupted | ErrorKind::TimedOut => Code::Network,
            ErrorKind::NotAnRpc => Code::BadAnswer,
            ErrorKind::Denied => Code::Denied,
            ErrorKind::NoSpace => Code::DiskFull,
            ErrorKind::TooOld { .. } | ErrorKind::TooBig | ErrorKind::Missing | ErrorKind::Refused => Code::Error,
        };
        (code, one(hint(&self.kind)))
    }
}
