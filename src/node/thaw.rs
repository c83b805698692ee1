//! Brings back the node that a dead run left frozen.

use std::path::Path;

use serde::Serialize;

use super::{
    Error,
    freeze::{
        Down,
        plan::{self, Action, Boot, OwnerState, World},
    },
    manager::{Manager, State},
    marker::{Marker, Markers, Phase},
};
use crate::types::ChannelName;

/// What became of a frozen node. Field names are a promise (docs/scripting.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thawed {
    /// Its channel.
    pub channel: ChannelName,
    /// What was done.
    pub outcome: Outcome,
    /// How often it was tried to start it, by all runs together.
    pub attempts: u32,
}

/// What was done with a frozen node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// No run left it frozen.
    NotFrozen,
    /// A run has it, and will bring it back itself.
    Busy,
    /// It was started, and answers.
    Started,
    /// It ran already, or did not run before either: only what the run left was removed.
    Cleaned,
}

/// Removes the clone of a run; no error when there is none.
pub type RemoveClone<'a> = &'a dyn Fn(&Path) -> Result<(), String>;

/// Brings back the node of `marker`, whose run is dead: the caller holds the lock of its channel. Does nothing when its process lives
/// nevertheless.
///
/// # Errors
/// [`Error::Down`] when the node cannot be started; then the marker stays. A clone that cannot be removed keeps the marker, too, but is
/// told only after the node is back.
pub fn thaw(markers: &Markers, marker: Marker, remove_clone: RemoveClone<'_>) -> Result<Thawed, Error> {
    let channel = marker.channel.clone();
    // What the dead run asked to stop the node may still be asking: the node would seem to run, and stop a moment later.
    let begun = marker.phase == Phase::Stopping && Boot::of(&marker.owner) == Boot::Same && !marker.owner.is_alive();
    if begun && marker.manager.is_some() {
        Down::inherit(markers.clone(), marker.clone()).await_end_of_stop();
    }
    let actions = plan::thaw(&marker, look(&marker));
    if actions.is_empty() {
        return Ok(Thawed { channel, outcome: Outcome::Busy, attempts: marker.attempts });
    }
    let outcome =
        if actions.contains(&Action::Start) || actions.contains(&Action::UndoScript) { Outcome::Started } else { Outcome::Cleaned };
    let mut down = Down::inherit(markers.clone(), marker);
    let back = carry_out(&mut down, &actions, remove_clone);
    let attempts = down.marker().attempts;
    back?;
    down.end()?;
    Ok(Thawed { channel, outcome, attempts })
}

fn look(marker: &Marker) -> World {
    let owner = if marker.owner.is_alive() { OwnerState::Alive } else { OwnerState::Dead };
    let boot = Boot::of(&marker.owner);
    // A manager that cannot be asked is told to start the node all the same, and then says why it cannot.
    let node = marker.manager.as_ref().map_or(State::Unknown, |manager| Manager::state(manager).unwrap_or(State::Unknown));
    World { owner, boot, node }
}

fn carry_out(down: &mut Down, actions: &[Action], remove_clone: RemoveClone<'_>) -> Result<(), Error> {
    let mut back = Ok(());
    for action in actions {
        match action {
            // The start does it.
            Action::FinishStop => {}
            Action::Start => back = down.bring_back(),
            // A start has waited for it.
            Action::AwaitAnswer if actions.contains(&Action::Start) => {}
            Action::AwaitAnswer => back = down.see_it_back(Ok(())),
            Action::UndoScript => back = down.undo_script(),
            // Also where the node is not back: a full disk may be why.
            Action::RemoveClone => back = clean(down, remove_clone, back),
            Action::RemoveMarker => {}
        }
    }
    back
}

fn clean(down: &mut Down, remove_clone: RemoveClone<'_>, back: Result<(), Error>) -> Result<(), Error> {
    if back.is_ok() {
        // From here on no other process starts it again.
        let _a_full_disk_is_no_reason = down.advance(Phase::Running);
    }
    let Some(clone) = down.marker().clone.clone() else { return back };
    let removed = remove_clone(&clone).map_err(|why| Error::Answer { what: format!("the clone {}", clone.display()), why });
    back.and(removed)
}
