//! From what the user writes for a store to an open store: a URL, a path, or a name from the configuration.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    code::Code,
    config::{Config, nearest},
    exit::Failure,
    gateways::{self, GatewayArgs},
};
use crate::{
    fs::Fs,
    progress::Progress,
    sources::IpfsSource,
    store::{self, Create, DynReadStore, DynWriteStore, Gateway, IpfsLocation, RetryPolicy, RetryStore, StoreUrl},
    types::Cid,
};

/// Stores to read from.
#[derive(Debug, Default)]
pub(crate) struct OpenSources {
    /// All of them, in the order in which they are named.
    pub(crate) all: Vec<DynReadStore>,
    /// Those of each snapshot on IPFS that is named.
    pub(crate) by_cid: BTreeMap<Cid, Vec<DynReadStore>>,
}

impl OpenSources {
    /// The only snapshot on IPFS that is named, and its sources.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub(crate) fn only_cid(&self) -> Result<(&Cid, &[DynReadStore]), Failure> {
        let mut found = self.by_cid.iter();
        match (found.next(), found.next()) {
            (Some((cid, sources)), None) => Ok((cid, sources)),
            (None, _) => Err(Failure::usage("neither a channel nor a CID says which snapshot is meant")
                .hint("write the channel before the options: CHAIN/PROFILE")
                .hint("or name a snapshot on IPFS by its root: --from ipfs://CID")),
            (Some(_), Some(_)) => Err(Failure::usage("several CIDs are among the sources, and no channel says which snapshot is meant")
                .hint("name one of them, and write ipfs:// without a CID for chunks from anywhere on IPFS")),
        }
    }

    /// Adds a snapshot on IPFS, or chunks of any, once for each gateway.
    async fn add_ipfs(&mut self, location: IpfsLocation, gateways: &[Arc<Gateway>]) {
        for gateway in gateways::ranked(gateways, location.root).await {
            let source: DynReadStore = Arc::new(IpfsSource::new(gateway, location.root, location.forms));
            if let Some(root) = location.root {
                self.by_cid.entry(root).or_default().push(Arc::clone(&source));
            }
            self.all.push(source);
        }
    }
}

/// Opens stores to read, all those that the user named.
///
/// # Errors
/// When there is none, or one of them names nothing or cannot be opened.
pub(crate) async fn open_sources(
    words: &[String],
    gateways: &GatewayArgs,
    config: &Config,
    fs: &Arc<dyn Fs>,
    progress: &dyn Progress,
) -> Result<OpenSources, Failure> {
    words.iter().try_for_each(|word| refuse_rpc(config.store_url(word).unwrap_or(word)))?;
    let urls = locate_all("--from", words, config)?;
    let reads_ipfs = urls.iter().any(|url| matches!(url, StoreUrl::Ipfs(_)));
    let gateways = if reads_ipfs { gateways.open(config.gateways(), progress).await? } else { Vec::new() };
    let mut sources = OpenSources::default();
    for url in urls {
        match url {
            StoreUrl::Ipfs(location) => sources.add_ipfs(location, &gateways).await,
            other @ (StoreUrl::Local(..) | StoreUrl::Http(_) | StoreUrl::S3(_)) => sources.all.push(other.open_read(Arc::clone(fs)).await?),
        }
    }
    Ok(sources)
}

/// A node's RPC is for publishing: who may read through it may do anything to the node.
fn refuse_rpc(url: &str) -> Result<(), Failure> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    if !scheme.is_some_and(|scheme| scheme.starts_with("ipfs+http")) {
        return Ok(());
    }
    let failure = Failure::usage("ipfs+http:// is the RPC of a Kubo node, to publish to, and no source");
    Err(failure.hint("to restore what is on IPFS: --from ipfs://CID --gateway http://127.0.0.1:8080"))
}

/// Opens stores to write, all those that the user named, the first of which decides races.
///
/// # Errors
/// As [`open_sources`].
pub(crate) async fn open_targets(
    words: &[String],
    create: Create,
    config: &Config,
    fs: &Arc<dyn Fs>,
) -> Result<Vec<DynWriteStore>, Failure> {
    let mut targets = Vec::new();
    for url in locate_all("--to", words, config)? {
        targets.push(patient(url.open_write(Arc::clone(fs), create).await?));
    }
    Ok(targets)
}

/// Opens stores to write to. One that cannot be opened does not keep the others from being written to.
///
/// # Errors
/// When there is none, one of them names nothing, or not one can be opened.
pub(crate) async fn open_targets_that_can(
    words: &[String],
    create: Create,
    config: &Config,
    fs: &Arc<dyn Fs>,
) -> Result<(Vec<DynWriteStore>, Vec<store::Error>), Failure> {
    let (mut targets, mut failures) = (Vec::new(), Vec::new());
    for url in locate_all("--to", words, config)? {
        match url.open_write(Arc::clone(fs), create).await {
            Ok(store) => targets.push(patient(store)),
            Err(error) => failures.push(error),
        }
    }
    match failures.pop() {
        Some(error) if targets.is_empty() => Err(error.into()),
        last => {
            failures.extend(last);
            Ok((targets, failures))
        }
    }
}

/// A store whose passing faults are waited out.
fn patient(store: DynWriteStore) -> DynWriteStore {
    Arc::new(RetryStore::new(store, RetryPolicy::default()))
}

fn locate_all(flag: &str, words: &[String], config: &Config) -> Result<Vec<StoreUrl>, Failure> {
    if words.is_empty() {
        let hint = format!("add {flag} with a path, a URL or the name of a store from the configuration");
        return Err(Failure::usage(format!("no store to work with: {flag} is missing")).hint(hint));
    }
    words.iter().map(|word| locate(word, config)).collect()
}

/// Where the store is that the user calls `word`.
pub(crate) fn locate(word: &str, config: &Config) -> Result<StoreUrl, Failure> {
    if !is_bare(word) {
        return Ok(word.parse::<StoreUrl>()?);
    }
    let Some(url) = config.store_url(word) else { return Err(no_such_store(word, config)) };
    match url.parse()? {
        StoreUrl::Local(path, _) if path.is_relative() => {
            let message = format!("the store {word} of the configuration has a relative path: {}", path.display());
            Err(Failure::new(Code::Config, message).hint("write the whole path, so that it does not depend on the working directory"))
        }
        located @ (StoreUrl::Local(..) | StoreUrl::Http(_) | StoreUrl::S3(_) | StoreUrl::Ipfs(_)) => Ok(located),
    }
}

/// The URL behind what the user calls `word`: that of the configuration, or the word itself.
pub(crate) fn configured_url(word: &str, config: &Config) -> String {
    config.store_url(word).filter(|_| is_bare(word)).map_or_else(|| word.to_owned(), |url| url.to_string())
}

/// Whether a word can only be the name of a store: no path and no URL.
fn is_bare(word: &str) -> bool {
    !word.is_empty() && !word.contains(['/', ':']) && !word.starts_with('.')
}

fn no_such_store(word: &str, config: &Config) -> Failure {
    let names = config.store_names();
    let known = if names.is_empty() { "it names none".to_owned() } else { format!("it names {}", names.join(", ")) };
    let mut failure = Failure::usage(format!("no store named {word} in the configuration ({known})"));
    if let Some(meant) = nearest(word, names) {
        failure = failure.hint(format!("did you mean {meant}?"));
    }
    if Path::new(word).is_dir() {
        failure = failure.hint(format!("write ./{word} for the directory of that name"));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_word_is_no_path_and_no_url() {
        assert!(is_bare("cdn") && is_bare("raw-2"));
        for other in ["", "./cdn", "/srv/x", "a/b", "https://a", "..", "s3://b"] {
            assert!(!is_bare(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_next_step() {
        let failure = no_such_store("src", &Config::default());
        assert_eq!(failure.messages, ["no store named src in the configuration (it names none)"]);
        assert_eq!(failure.hints, ["write ./src for the directory of that name"]);
    }
}
