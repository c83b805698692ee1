//! What comes after the copy: the clone goes, the marker goes, the watchdog goes, in this order.

use super::{FreezeSummary, markers, remove_clone, window::Ended};
use crate::{
    node::{
        self,
        freeze::Method,
        marker::{Marker, Phase},
        thaw::{self, Outcome},
    },
    progress::in_one_line,
    publish::{Error, Options},
};

/// Brings back the node that a dead run of this channel left down. Gives a warning to be told.
pub(super) fn thaw_first(options: &Options) -> Result<Option<String>, Error> {
    let markers = markers(options);
    let Some(marker) = markers.read(&options.channel)? else { return Ok(None) };
    if options.dry_run {
        let text = "an earlier run has left its node frozen; a dry run leaves it so: qsync thaw starts it";
        return Ok(Some(text.to_owned()));
    }
    let (channel, pid) = (marker.channel.clone(), marker.owner.pid);
    let remove = |clone: &std::path::Path| remove_clone(options, clone).map_err(|e| in_one_line(&e));
    match thaw::thaw(&markers, marker, &remove)?.outcome {
        Outcome::Busy => Err(node::Error::Busy { channel, pid }.into()),
        Outcome::Started => Ok(Some("an earlier run had left the node stopped: it was started".to_owned())),
        Outcome::Cleaned | Outcome::NotFrozen => Ok(Some("an earlier run had left a clone: it was removed".to_owned())),
    }
}

/// Ends what the window began. The node is back, or nobody can help it for now.
pub(super) fn finish(options: &Options, ended: Ended) -> (Option<FreezeSummary>, Option<node::Error>, Vec<String>) {
    let Ended { method, down, clone, watchdog, downtime_seconds, copied_bytes, mut failed } = ended;
    let mut warnings = Vec::new();
    let removed = clone.as_ref().map_or(Ok(()), |clone| remove_clone(options, clone));
    if let Err(error) = &removed {
        warnings.push(format!("the clone could not be removed, and qsync thaw tries again: {}", in_one_line(error)));
    }
    let frozen = down.is_some();
    if let Some(down) = down {
        if method == Method::Command {
            failed = down.undo_script().err();
        }
        if failed.is_none() && removed.is_ok() && may_end(down.marker()) {
            down.end().err().into_iter().for_each(|error| warnings.push(in_one_line(&error)));
        }
    }
    watchdog.into_iter().for_each(node::watchdog::Watchdog::done);
    let error = failed.as_ref().map(|error| in_one_line(error));
    let summary = frozen.then_some(FreezeSummary { method, downtime_seconds, copied_bytes, error });
    (summary, failed, warnings)
}

/// Whether nothing is left that a marker is needed for.
fn may_end(marker: &Marker) -> bool {
    marker.phase == Phase::Running || !marker.was_running || marker.method == Method::Command
}
