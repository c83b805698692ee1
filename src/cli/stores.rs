//! From what the user writes for a store to an open store: a URL, a path, or a name from the configuration.

use std::{path::Path, sync::Arc};

use super::{
    code::Code,
    config::{Config, nearest},
    exit::Failure,
};
use crate::{
    fs::Fs,
    store::{self, Create, DynReadStore, DynWriteStore, RetryPolicy, RetryStore, StoreUrl},
};

/// Opens stores to read, all those that the user named.
///
/// # Errors
/// When there is none, or one of them names nothing or cannot be opened.
pub(crate) async fn open_sources(words: &[String], config: &Config, fs: &Arc<dyn Fs>) -> Result<Vec<DynReadStore>, Failure> {
    let mut sources = Vec::new();
    for url in locate_all("--from", words, config)? {
        sources.push(url.open_read(Arc::clone(fs)).await?);
    }
    Ok(sources)
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
        located @ (StoreUrl::Local(..) | StoreUrl::Http(_) | StoreUrl::S3(_)) => Ok(located),
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
