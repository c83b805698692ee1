//! The power goes at every operation of whole runs, and the same run starts again on what is left of the disk. ST-06
//!
//! Everything is in memory: the machine's disk, which knows what was synced, and the source. A scenario prepares a disk, says what is run,
//! and checks each disk that a power cut leaves. `QSYNC_TEST_EVERY=1` looks at every way in which unsynced changes can be lost, at every
//! operation; without it, at one or two of these ways at each.

mod machine;
mod mirror;
mod node;
mod publish;
mod restore;

use std::fmt;

use qsync::fs::{MemoryFs, Unsynced};
use tokio::runtime::Runtime;

/// Ways in which unsynced changes are lost, beside chance.
const WAYS: [Unsynced; 5] = [Unsynced::Lost, Unsynced::Kept, Unsynced::OnlyNames, Unsynced::NamesAndLengths, Unsynced::OnlyContent];
/// How often chance decides at each operation, when every way is looked at.
const CHANCES: u64 = 2;

/// What a power cut left of a disk.
struct Cut {
    operation: u64,
    unsynced: Unsynced,
    disk: MemoryFs,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "power cut before operation {}, unsynced changes: {:?}", self.operation, self.unsynced)
    }
}

/// Says at which cut a check failed, without every check having to.
struct Announced<'a>(&'a Cut);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// Cuts the power of `disk` before every operation of `run`, and after the last one, and hands what is left to `check`. The run itself goes
/// on to its end. Says how many operations it had.
fn at_every_operation(runtime: &Runtime, disk: &MemoryFs, run: impl Future<Output = ()>, check: impl Fn(&MemoryFs)) -> u64 {
    let (sender, receiver) = std::sync::mpsc::channel();
    let first = disk.operations();
    let after_the_run = sender.clone();
    disk.on_operation(move |number, disk| cut(number - first, disk).for_each(|cut| sender.send(cut).unwrap()));
    runtime.block_on(run);
    let operations = disk.operations() - first;
    disk.on_operation(|_, _| {});
    cut(operations, disk).for_each(|cut| after_the_run.send(cut).unwrap());
    drop(after_the_run);
    for cut in receiver {
        let _announced = Announced(&cut);
        check(&cut.disk);
    }
    operations
}

/// What a power cut now may leave of a disk.
fn cut(operation: u64, disk: &MemoryFs) -> impl Iterator<Item = Cut> {
    let ways = ways(operation);
    ways.into_iter().map(move |unsynced| Cut { operation, unsynced, disk: disk.power_cut_with(unsynced) })
}

fn ways(operation: u64) -> Vec<Unsynced> {
    if std::env::var_os("QSYNC_TEST_EVERY").is_some() {
        return (0..CHANCES).map(|n| Unsynced::ByChance(operation * CHANCES + n)).chain(WAYS).collect();
    }
    // The same way at neighbours would see the same thing twice.
    match operation as usize % (WAYS.len() + 2) {
        way if way < WAYS.len() => vec![WAYS[way]],
        _ => vec![Unsynced::ByChance(operation)],
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
