//! The gateways that IPFS is read through: those that the user names, else the one of a node on this machine and those of the configuration.

use std::{collections::BTreeSet, sync::Arc};

use clap::Args;
use futures::future::join_all;
use url::Url;

use super::{code::Code, env, exit::Failure};
use crate::{
    progress::{Event, Progress},
    store::{Gateway, Probed, Timeouts},
    types::Cid,
};

/// Where the gateway of a node on this machine listens unless it is told otherwise.
const LOCAL: &str = "http://127.0.0.1:8080";

/// Options of every command that reads from sources.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GatewayArgs {
    /// Gateway that ipfs:// sources are read through; repeat for several, all are used at once [default: that of a node on this machine, and those
    /// of the configuration]
    #[arg(long, value_name = "URL")]
    gateway: Vec<String>,
}

impl GatewayArgs {
    /// The gateways that may be used, at least one. What turns out to be none is said and left out.
    ///
    /// # Errors
    /// When one is not a URL, or there is none that may be used.
    pub(crate) async fn open(&self, configured: &[String], progress: &dyn Progress) -> Result<Vec<Arc<Gateway>>, Failure> {
        let named = env::list(self.gateway.clone(), "QSYNC_GATEWAY", &[]);
        choose(&named, configured, LOCAL, progress).await
    }
}

/// The gateways that are named; else the one at `local`, when it answers, and those that are configured.
async fn choose(named: &[String], configured: &[String], local: &str, progress: &dyn Progress) -> Result<Vec<Arc<Gateway>>, Failure> {
    let is_asked_for = !named.is_empty();
    let words = if is_asked_for { named.to_vec() } else { [&[local.to_owned()], configured].concat() };
    let gateways = words.iter().map(|word| read(word)).collect::<Result<Vec<_>, _>>()?;
    let probed = join_all(gateways.iter().map(|gateway| gateway.probe())).await;
    let (mut usable, mut others) = (Vec::new(), Vec::new());
    for (place, (gateway, probed)) in gateways.into_iter().zip(probed).enumerate() {
        let is_guessed = !is_asked_for && place == 0;
        match probed {
            Probed::Gateway => usable.push(gateway),
            Probed::Nothing { .. } if is_guessed => {}
            // It may only be slow, or down for a moment: the sources' business.
            Probed::Nothing { .. } => usable.push(gateway),
            Probed::Other { .. } if is_guessed => {}
            Probed::Other { what } => others.push(format!("{}: {what}", gateway.name())),
        }
    }
    let mut known = BTreeSet::new();
    usable.retain(|gateway: &Arc<Gateway>| known.insert(gateway.name().to_owned()));
    if usable.is_empty() {
        return Err(none(others));
    }
    others.into_iter().for_each(|text| progress.event(Event::Warning { text: format!("{text}; it is left out") }));
    Ok(usable)
}

/// Refuses what is no URL of a gateway; asks none.
///
/// # Errors
/// When one of them is not.
pub(crate) fn check(words: &[String]) -> Result<(), Failure> {
    words.iter().try_for_each(|word| read(word).map(drop))
}

fn read(word: &str) -> Result<Arc<Gateway>, Failure> {
    // The text is not repeated: it may hold a password.
    let wrong = |why: &str| Failure::usage(format!("not the URL of a gateway: {why}")).hint("write --gateway http://127.0.0.1:8080");
    let url: Url = word.parse().map_err(|error: url::ParseError| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(&format!("{}:// is neither http nor https", url.scheme())));
    }
    Ok(Arc::new(Gateway::open(&url, Timeouts::of_gateways())?))
}

fn none(others: Vec<String>) -> Failure {
    let hint = "name one with --gateway URL, or several: http://127.0.0.1:8080 is that of a Kubo node on this machine";
    let failure = if others.is_empty() {
        Failure::usage("no gateway to read ipfs:// through: no node answers on this machine, and none is named").hint(hint)
    } else {
        Failure { details: others, ..Failure::new(Code::BadAnswer, "no gateway to read ipfs:// through") }.hint(hint)
    };
    failure.hint("gateways = [\"https://…\"] in the configuration names those that are always used")
}

/// The same gateways, in the order in which they are worth asking for this snapshot: a node on this machine that lacks it comes last.
pub(crate) async fn ranked(gateways: &[Arc<Gateway>], root: Option<Cid>) -> Vec<Arc<Gateway>> {
    let Some(root) = root.filter(|_| gateways.len() > 1) else { return gateways.to_vec() };
    let lacks = join_all(gateways.iter().map(async |gateway| gateway.is_local() && !gateway.has_at_hand(&root).await)).await;
    let mut ranked: Vec<_> = lacks.into_iter().zip(gateways.iter().map(Arc::clone)).collect();
    ranked.sort_by_key(|(lacks, _)| *lacks);
    ranked.into_iter().map(|(_, gateway)| gateway).collect()
}

#[cfg(test)]
mod tests;
