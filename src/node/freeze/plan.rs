//! What may be done with a node, and what must be. Pure: markers and facts go in, decisions come out.

use std::time::Duration;

use super::Method;
use crate::node::{
    Error,
    manager::{Manager, State},
    marker::{Marker, Phase},
    owner::Owner,
};

/// What is known when a marker is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// Whether the run that wrote it may be alive: its process is, or somebody holds its channel.
    pub owner: OwnerState,
    /// Whether this is still the boot that it was written in.
    pub boot: Boot,
    /// What the manager says of the node.
    pub node: State,
}

/// Whether the run that wrote a marker is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// It may be.
    Alive,
    /// It is not.
    Dead,
}

/// Whether the machine was started again since a marker was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// It was not.
    Same,
    /// It was: no stop of then is still going on.
    Another,
}

impl Boot {
    /// The boot of a marker's owner, compared with this one.
    #[must_use]
    pub(in crate::node) fn of(owner: &Owner) -> Self {
        if owner.is_of_this_boot() { Self::Same } else { Self::Another }
    }
}

/// One step that brings a node back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the node to stop once more, and wait: a stop that was asked for may still be under way, and a start before its end does nothing.
    FinishStop,
    /// Start it.
    Start,
    /// Wait until it answers.
    AwaitAnswer,
    /// Let the operator's script undo what it did.
    UndoScript,
    /// Remove the clone.
    RemoveClone,
    /// Remove the marker. Always the last.
    RemoveMarker,
}

/// What brings the node of this marker back; nothing where its run is alive.
#[must_use]
pub fn thaw(marker: &Marker, world: World) -> Vec<Action> {
    use Action::{RemoveClone, RemoveMarker, UndoScript};
    if world.owner == OwnerState::Alive {
        return Vec::new();
    }
    if marker.method == Method::Command {
        // Whether the node ran is the script's business, and so is a clone.
        return vec![UndoScript, RemoveMarker];
    }
    let mut actions = bring_back(marker, world);
    actions.extend([RemoveClone, RemoveMarker]);
    actions
}

fn bring_back(marker: &Marker, world: World) -> Vec<Action> {
    use Action::{AwaitAnswer, FinishStop, Start};
    if !marker.was_running || marker.phase == Phase::Running {
        return Vec::new();
    }
    match (marker.phase, world.node) {
        (Phase::Stopping, State::Running | State::Stopping | State::Unknown) if stop_may_go_on(marker, world.boot) => {
            vec![FinishStop, Start, AwaitAnswer]
        }
        (_, State::Running) => vec![AwaitAnswer],
        (_, State::Stopping | State::Stopped | State::Unknown) => vec![Start, AwaitAnswer],
    }
}

/// Whether a stop that was asked for may end the node after a start that came too early. systemd puts a start behind a stop by itself.
pub(super) fn stop_may_go_on(marker: &Marker, boot: Boot) -> bool {
    marker.phase == Phase::Stopping && boot == Boot::Same && !matches!(marker.manager, Some(Manager::Systemd { .. }))
}

/// Refuses a manager that would kill the node before it had its time to stop.
///
/// # Errors
/// [`Error::KillsEarly`].
pub fn check_kill(manager: &Manager, kills_after: Option<Duration>, needed: Duration) -> Result<(), Error> {
    match kills_after {
        Some(found) if found < needed => Err(Error::KillsEarly { manager: manager.text(), found, needed, remedy: manager.remedy(needed) }),
        _ => Ok(()),
    }
}

/// Whether the node ran before the run, from what the manager says, whether it answers, and whether a process has its directory open.
///
/// # Errors
/// [`Error::StateUnknown`] where nobody can tell: then nobody would know whether to start it again.
pub fn was_running(manager: State, answers: bool, has_files_open: Option<bool>) -> Result<bool, Error> {
    match (manager, answers, has_files_open) {
        (State::Running, ..) | (State::Unknown, true, _) | (State::Unknown, false, Some(true)) => Ok(true),
        (State::Stopped, ..) | (State::Unknown, false, Some(false)) => Ok(false),
        (State::Stopping, ..) => Err(Error::StateUnknown { why: "somebody else is stopping it".to_owned() }),
        (State::Unknown, false, None) => {
            Err(Error::StateUnknown { why: "there is no freeze.status, and the files of other users' processes cannot be seen".to_owned() })
        }
    }
}

/// Refuses a copy that would keep the node down for longer than it may be.
///
/// # Errors
/// [`Error::DownTooLong`].
pub fn check_downtime(copy_bytes: u64, estimated: Duration, allowed: Duration) -> Result<(), Error> {
    if copy_bytes > 0 && estimated > allowed {
        return Err(Error::DownTooLong { estimated_seconds: estimated.as_secs_f64(), allowed, copy_bytes });
    }
    Ok(())
}

/// Bytes that must stay free on a file system of that size.
#[must_use]
pub fn reserve_bytes(total_bytes: u64, percent: u8) -> u64 {
    total_bytes / 100 * u64::from(percent.min(100))
}

/// File systems count time in steps, of two seconds at worst, and round down.
const CLOCK_STEP_NS: i128 = 2_000_000_000;

/// Whether the files that a clean stop writes prove one: `found` has, for each of them, its time of last change where it is there.
///
/// # Errors
/// [`Error::NotClean`].
pub fn check_written(found: &[(String, Option<i128>)], requested_ns: i128) -> Result<(), Error> {
    if found.is_empty() {
        return Ok(());
    }
    if let Some((name, _)) = found.iter().find(|(_, time)| time.is_some_and(|time| time + CLOCK_STEP_NS < requested_ns)) {
        return Err(Error::NotClean { why: format!("{name} was not written by this stop") });
    }
    if found.iter().all(|(_, time)| time.is_none()) {
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Error::NotClean { why: format!("there is no {}, which a clean stop writes", names.join(" and no ")) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::node::freeze::testing::{container, marker, systemd};
    use Action::{AwaitAnswer, FinishStop, RemoveClone, RemoveMarker, Start, UndoScript};

    const PHASES: [Phase; 5] = [Phase::Stopping, Phase::Stopped, Phase::Cloned, Phase::Starting, Phase::Running];
    const STATES: [State; 4] = [State::Running, State::Stopping, State::Stopped, State::Unknown];

    fn dead(node: State) -> World {
        World { owner: OwnerState::Dead, boot: Boot::Same, node }
    }

    fn with(phase: Phase, manager: Manager) -> Marker {
        Marker { manager: Some(manager), ..marker(phase) }
    }

    #[test]
    fn a_run_that_may_be_alive_is_left_alone_in_every_phase() {
        for (phase, node) in PHASES.iter().flat_map(|phase| STATES.map(|node| (*phase, node))) {
            assert_eq!(thaw(&marker(phase), World { owner: OwnerState::Alive, ..dead(node) }), []);
        }
    }

    #[test]
    fn a_node_that_did_not_run_before_is_never_started() {
        for (phase, node) in PHASES.iter().flat_map(|phase| STATES.map(|node| (*phase, node))) {
            let stopped = Marker { was_running: false, ..marker(phase) };
            assert_eq!(thaw(&stopped, dead(node)), [RemoveClone, RemoveMarker]);
        }
    }

    #[test]
    fn each_phase_and_state_of_the_node_has_its_steps() {
        let end = [RemoveClone, RemoveMarker];
        let table: &[(Phase, State, &[Action])] = &[
            (Phase::Stopping, State::Running, &[FinishStop, Start, AwaitAnswer]),
            (Phase::Stopping, State::Stopping, &[FinishStop, Start, AwaitAnswer]),
            (Phase::Stopping, State::Unknown, &[FinishStop, Start, AwaitAnswer]),
            (Phase::Stopping, State::Stopped, &[Start, AwaitAnswer]),
            (Phase::Stopped, State::Stopped, &[Start, AwaitAnswer]),
            (Phase::Stopped, State::Unknown, &[Start, AwaitAnswer]),
            (Phase::Cloned, State::Stopped, &[Start, AwaitAnswer]),
            (Phase::Starting, State::Stopped, &[Start, AwaitAnswer]),
            (Phase::Starting, State::Running, &[AwaitAnswer]),
            (Phase::Cloned, State::Running, &[AwaitAnswer]),
            (Phase::Running, State::Stopped, &[]),
            (Phase::Running, State::Running, &[]),
        ];
        for (phase, node, first) in table {
            let expected: Vec<_> = first.iter().chain(&end).copied().collect();
            assert_eq!(thaw(&with(*phase, container()), dead(*node)), expected, "{phase:?} {node:?}");
        }
    }

    #[test]
    fn a_stop_is_not_asked_for_again_where_systemd_waits_for_it_or_the_machine_was_started_again() {
        let begins = |marker: &Marker, world| thaw(marker, world)[0];
        assert_eq!(begins(&with(Phase::Stopping, systemd()), dead(State::Running)), AwaitAnswer);
        assert_eq!(begins(&with(Phase::Stopping, systemd()), dead(State::Stopping)), Start);
        let rebooted = World { boot: Boot::Another, ..dead(State::Running) };
        assert_eq!(begins(&with(Phase::Stopping, container()), rebooted), AwaitAnswer);
        assert_eq!(begins(&with(Phase::Stopping, container()), World { node: State::Stopped, ..rebooted }), Start);
    }

    #[test]
    fn what_a_script_did_is_undone_by_the_script() {
        for phase in PHASES {
            let scripted = Marker { method: Method::Command, manager: None, was_running: false, ..marker(phase) };
            assert_eq!(thaw(&scripted, dead(State::Unknown)), [UndoScript, RemoveMarker]);
        }
    }

    proptest! {
        /// However the run died, a node that ran is started or known to run, before its marker goes.
        #[test]
        fn a_node_that_ran_before_runs_before_its_marker_goes(phase in 0..4_usize, node in 0..4_usize, boot: bool, on_systemd: bool) {
            let boot = if boot { Boot::Same } else { Boot::Another };
            let marker = with(PHASES[phase], if on_systemd { systemd() } else { container() });
            let actions = thaw(&marker, World { owner: OwnerState::Dead, boot, node: STATES[node] });
            let at = |action| actions.iter().position(|found| *found == action);
            prop_assert!(at(AwaitAnswer) < at(RemoveMarker) && at(AwaitAnswer).is_some());
            prop_assert!(at(Start).is_some() || STATES[node] == State::Running);
            prop_assert_eq!(actions.last(), Some(&RemoveMarker));
            prop_assert!(at(FinishStop).is_none() || at(FinishStop) < at(Start));
        }
    }

    #[test]
    fn a_manager_that_kills_early_is_refused_with_the_way_out() {
        let (needed, check) = (Duration::from_secs(900), |found| check_kill(&systemd(), found, Duration::from_secs(900)));
        assert!(check(None).is_ok() && check(Some(needed)).is_ok());
        let refused = check(Some(Duration::from_secs(90))).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "systemd (geth.service) kills the node 1m 30s after the request to stop, and freeze.stop_timeout is 15m"
        );
        assert!(refused.hint().unwrap().contains("TimeoutStopSec=900"));
    }

    #[test]
    fn whether_the_node_ran_is_told_by_its_manager_then_by_its_answer_then_by_its_files() {
        let ran = |state, answers, open| was_running(state, answers, open).ok();
        assert_eq!(ran(State::Running, false, Some(false)), Some(true));
        assert_eq!(ran(State::Stopped, true, Some(true)), Some(false));
        assert_eq!(ran(State::Unknown, true, None), Some(true));
        assert_eq!(ran(State::Unknown, false, Some(true)), Some(true));
        assert_eq!(ran(State::Unknown, false, Some(false)), Some(false));
        assert_eq!(ran(State::Unknown, false, None), None);
        assert_eq!(ran(State::Stopping, false, None), None);
    }

    #[test]
    fn a_copy_that_takes_longer_than_the_node_may_be_down_is_refused() {
        let seconds = Duration::from_secs;
        assert!(check_downtime(1, seconds(60), seconds(60)).is_ok());
        assert!(matches!(check_downtime(1, seconds(61), seconds(60)), Err(Error::DownTooLong { copy_bytes: 1, .. })));
        assert!(check_downtime(0, seconds(61), Duration::ZERO).is_ok());
    }

    // PU-09
    #[test]
    fn files_of_a_clean_stop_must_be_of_this_stop() {
        let at = |times: &[Option<i128>]| {
            let found: Vec<_> = times.iter().enumerate().map(|(i, time)| (format!("file-{i}"), *time)).collect();
            check_written(&found, 100_000_000_000)
        };
        assert!(at(&[]).is_ok() && at(&[Some(100_000_000_001)]).is_ok() && at(&[Some(99_000_000_000), None]).is_ok());
        assert!(at(&[Some(97_000_000_000)]).unwrap_err().to_string().contains("file-0 was not written by this stop"));
        assert!(at(&[Some(101_000_000_000), Some(1)]).is_err());
        assert!(at(&[None, None]).unwrap_err().to_string().contains("no file-0 and no file-1"));
    }

    #[test]
    fn the_reserve_is_a_part_of_the_whole_file_system() {
        assert_eq!((reserve_bytes(1_000, 10), reserve_bytes(1_000, 0), reserve_bytes(u64::MAX, 200)), (100, 0, u64::MAX / 100 * 100));
    }
}
