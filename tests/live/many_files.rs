//! More files than the fast tests have time for.

use crate::support::{World, tree};

#[test]
fn a_hundred_thousand_small_files_come_back() {
    let world = World::new();
    tree::make_small_files(&world.path("data"), 100_000);
    let pin = world.init();
    let published = world.publish(&world.path("data"), 1);
    assert_eq!(published["files"], 100_000);
    world.restore_command(&pin).summary();
    tree::assert_same(&world.path("data"), &world.target());
}
