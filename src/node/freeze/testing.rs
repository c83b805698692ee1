//! Markers for tests.

use super::Method;
use crate::node::{
    manager::Manager,
    marker::{Marker, Phase},
    owner::Owner,
};

pub(crate) fn systemd() -> Manager {
    Manager::Systemd { unit: "geth.service".into() }
}

pub(crate) fn container() -> Manager {
    Manager::Container { engine: "docker".into(), name: "geth".into() }
}

pub(crate) fn marker(phase: Phase) -> Marker {
    Marker {
        v: Marker::VERSION,
        channel: "demo/generic".parse().unwrap(),
        owner: Owner { boot_id: "0".into(), pid: 1, start_ticks: 2 },
        method: Method::StopClone,
        manager: Some(container()),
        script: Vec::new(),
        was_running: true,
        clone: Some("/srv/.node.qsync-clone".into()),
        phase,
        since: "2026-11-20T03:00:12Z".parse().unwrap(),
        attempts: 0,
        answers_at: None,
        stop_timeout_secs: 900,
        start_timeout_secs: 600,
    }
}
