//! Whether a snapshot holds the blocks that a node knows which the user trusts. Signatures say who made a snapshot; this says that its chain is
//! the one that others see.

use serde::Serialize;

use super::{Error, Options};
use crate::{
    format::manifest::About,
    node::{gate::plan::same, probe::Probe},
    progress::Event,
};

/// What a node said of the snapshot's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockCheck {
    /// It knows the same.
    Same,
    /// It does not know that height, or the snapshot names no block.
    Unknown,
}

/// A block that the snapshot names, and what the node calls the block at that height.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    height: u64,
    expected: String,
    found: Option<String>,
}

/// A block of which the node knows another hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Other(Named);

/// Asks the node, if there is one to ask. `None`: there is none.
///
/// # Errors
/// [`Error::OtherBlock`] with both hashes; [`Error::CheckRpc`] when the node cannot be asked.
pub(super) async fn check(options: &Options, about: &About) -> Result<Option<BlockCheck>, Error> {
    let Some(probe) = &options.check_rpc else { return Ok(None) };
    let head = about.height.zip(about.block_hash.as_ref()).map(|(height, hash)| (height, hash.as_str()));
    // That two chains begin alike says nothing of what followed.
    let finalized = about.finalized.as_ref().filter(|block| block.height > 0).map(|block| (block.height, block.hash.as_str()));
    let verdict = judge(ask(probe, head).await?, ask(probe, finalized).await?);
    match verdict {
        Ok(check) => {
            tell(options, probe, check);
            Ok(Some(check))
        }
        Err(Other(Named { height, expected, found })) => {
            Err(Error::OtherBlock { node: probe.name().to_owned(), height, expected, found: found.unwrap_or_default() })
        }
    }
}

/// Once more before the database is put in place, where the node did not know the height before: it may have caught up.
///
/// # Errors
/// [`Error::OtherBlock`]. A node that cannot be asked any more has said what it knows before.
pub(super) async fn check_again(options: &Options, about: &About, before: Option<BlockCheck>) -> Result<Option<BlockCheck>, Error> {
    if before != Some(BlockCheck::Unknown) {
        return Ok(before);
    }
    match check(options, about).await {
        Err(Error::CheckRpc(_)) => Ok(before),
        checked => checked,
    }
}

async fn ask(probe: &Probe, block: Option<(u64, &str)>) -> Result<Option<Named>, Error> {
    let Some((height, expected)) = block else { return Ok(None) };
    let found = probe.block_hash(height).await.map_err(|error| Error::CheckRpc(Box::new(error)))?;
    Ok(Some(Named { height, expected: expected.to_owned(), found }))
}

/// The newest block of a node may be replaced by another within minutes; its final one may not. So a final block that is right counts more.
fn judge(head: Option<Named>, finalized: Option<Named>) -> Result<BlockCheck, Other> {
    let holds = |named: &Named| named.found.as_ref().map(|found| same(found, &named.expected));
    match (finalized.as_ref().and_then(holds), head.as_ref().and_then(holds)) {
        (Some(true), _) | (None, Some(true)) => Ok(BlockCheck::Same),
        (Some(false), _) => Err(Other(finalized.expect("only a block that is named has another hash"))),
        (None, Some(false)) => Err(Other(head.expect("only a block that is named has another hash"))),
        (None, None) => Ok(BlockCheck::Unknown),
    }
}

fn tell(options: &Options, probe: &Probe, check: BlockCheck) {
    let node = probe.name();
    options.progress.event(match check {
        BlockCheck::Same => Event::Note { text: format!("{node} knows the snapshot's block: it is of the same chain") },
        BlockCheck::Unknown => Event::Warning {
            text: format!("{node} does not know the block at the snapshot's height: unknown whether it is of the same chain"),
        },
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(height: u64, found: Option<&str>) -> Option<Named> {
        Some(Named { height, expected: "0xAB".to_owned(), found: found.map(str::to_owned) })
    }

    #[test]
    fn a_final_block_counts_more_than_the_newest_and_unknown_is_neither() {
        use BlockCheck::{Same, Unknown};
        let (right, wrong) = (Some("ab"), Some("0xcd"));
        let other = |height| Err(Other(named(height, wrong).unwrap()));
        let cases = [
            (named(9, right), None, Ok(Same)),
            (named(9, wrong), None, other(9)),
            (named(9, None), None, Ok(Unknown)),
            (None, None, Ok(Unknown)),
            (named(9, right), named(7, right), Ok(Same)),
            // The newest block was replaced after the copy.
            (named(9, wrong), named(7, right), Ok(Same)),
            (named(9, right), named(7, wrong), other(7)),
            (named(9, None), named(7, wrong), other(7)),
            (named(9, None), named(7, right), Ok(Same)),
            (named(9, wrong), named(7, None), other(9)),
            (named(9, right), named(7, None), Ok(Same)),
            (None, named(7, None), Ok(Unknown)),
        ];
        for (head, finalized, expected) in cases {
            assert_eq!(judge(head.clone(), finalized.clone()), expected, "{head:?} {finalized:?}");
        }
    }
}
