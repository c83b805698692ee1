//! Which process froze a node, told so that no other process is ever taken for it: boot, process id, and when the process began.

use std::fs;

use serde::{Deserialize, Serialize};

/// A process of one boot of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// Id of the boot.
    pub boot_id: String,
    /// Its process id.
    pub pid: u32,
    /// When it began, in ticks of the kernel's clock since the boot.
    pub start_ticks: u64,
}

impl Owner {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        let pid = std::process::id();
        Self { boot_id: boot_id(), pid, start_ticks: start_ticks(pid).unwrap_or(0) }
    }

    /// Whether the process is alive. `/proc` may hide processes of other users, so this alone is no proof of death.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.is_of_this_boot() && start_ticks(self.pid) == Some(self.start_ticks)
    }

    /// Whether the machine was not started again since.
    #[must_use]
    pub fn is_of_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// When a living process began; a zombie is dead: it has given back all its locks.
fn start_ticks(pid: u32) -> Option<u64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `708 (name) with ) anything) S 1 …`: the state is field 3, the start field 22.
fn parse_stat(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_again_until_it_ends_and_no_other_is_taken_for_it() {
        let own = Owner::current();
        assert!(own.is_alive() && own.start_ticks > 0 && own.boot_id.len() > 30);
        assert!(!Owner { start_ticks: own.start_ticks + 1, ..own.clone() }.is_alive());
        assert!(!Owner { boot_id: "another".into(), ..own.clone() }.is_alive());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let owner = Owner { pid: child.id(), start_ticks: start_ticks(child.id()).unwrap_or(0), ..own };
        // Ended, and nobody has waited for it: a zombie is as dead as can be.
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!owner.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_name_with_brackets_and_spaces_moves_no_field() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert_eq!(parse_stat(&format!("12 (a) Z 9) {tail}")), Some(4711));
        assert_eq!(parse_stat(&format!("12 (a) {}", tail.replace('S', "Z"))), None);
        assert_eq!(parse_stat(""), None);
    }
}
