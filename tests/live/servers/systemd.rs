//! Debian's systemd, booted with units of a test.

use std::{fs, path::Path, process::Command};

use super::Companion;
use crate::{programs::succeed, support::command::text};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/systemd.sh");

/// A running systemd. It and everything that it started are gone when this is dropped.
pub(crate) struct Systemd {
    // It ends systemd when it ends.
    script: Option<Companion>,
}

impl Systemd {
    /// Boots it on a folder with `units` and `bin`. In there, this folder alone of the machine can be written.
    pub(crate) fn boot(folder: &Path) -> Self {
        let mut command = Command::new(SCRIPT);
        command.arg("boot").arg(folder);
        Self { script: Some(Companion::start(command)) }
    }

    /// A program in there.
    pub(crate) fn command(&self, program: &[&str]) -> Command {
        let mut command = Command::new(SCRIPT);
        command.args(["run", &self.script.as_ref().expect("it runs until it is dropped").line]).args(program);
        command
    }

    /// Runs a program in there; it must succeed.
    #[track_caller]
    pub(crate) fn run(&self, program: &[&str]) -> String {
        text(&succeed(self.command(program)).stdout).trim_end().to_owned()
    }

    /// A property of a unit.
    #[track_caller]
    pub(crate) fn property(&self, unit: &str, name: &str) -> String {
        self.run(&["systemctl", "show", "--value", "--property", name, unit])
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        if let Some(script) = self.script.take() {
            script.end();
        }
    }
}

/// Lays the units of `schedules/systemd` and the program of this build into a folder to boot.
pub(crate) fn install(folder: &Path) {
    let (units, bin) = (folder.join("units"), folder.join("bin"));
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(&bin).unwrap();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schedules/systemd")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|end| end == "service" || end == "timer") {
            fs::copy(&file, units.join(file.file_name().unwrap())).unwrap();
        }
    }
    fs::copy(env!("CARGO_BIN_EXE_qsync"), bin.join("qsync")).unwrap();
}
