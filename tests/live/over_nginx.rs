//! Real databases come back through a real web server, and damage behind it is found.

use std::fs;

use crate::{
    programs::assert_diff_finds_nothing,
    rocks_db,
    servers::nginx::Nginx,
    support::{World, database, tree},
};

#[test]
fn a_rocks_db_comes_back_over_nginx_and_every_key_reads() {
    let world = World::new();
    let data = world.path("data");
    rocks_db::make_rocks_db(&data, 40_000);
    let pin = world.init();
    world.publish(&data, 1);
    let nginx = Nginx::start(&world.store());
    world.restore_from(&nginx.url(), &pin).summary();
    assert_diff_finds_nothing(&data, &world.target());
    rocks_db::assert_rocks_db_scans(&world.target(), 40_000);
}

#[test]
fn a_parity_db_comes_back_over_nginx_and_every_key_reads() {
    let world = World::new();
    let data = world.path("data");
    database::make_parity_db(&data, 40_000);
    let pin = world.init();
    world.publish(&data, 1);
    let nginx = Nginx::start(&world.store());
    world.restore_from(&nginx.url(), &pin).summary();
    assert_diff_finds_nothing(&data, &world.target());
    database::assert_parity_db_reads(&world.target(), 40_000, |_| 0);
}

#[test]
fn one_flipped_bit_behind_nginx_refuses_the_restore_and_its_repair_costs_one_object() {
    let world = World::new();
    let data = world.path("data");
    rocks_db::make_rocks_db(&data, 20_000);
    let pin = world.init();
    world.publish(&data, 1);
    let chunk = world.chunks().into_iter().max_by_key(|chunk| fs::metadata(chunk).unwrap().len()).unwrap();
    let key = format!("chunks/{}", chunk.strip_prefix(world.store().join("chunks")).unwrap().display());
    let nginx = Nginx::start(&world.store());
    let whole_bytes = fs::metadata(&chunk).unwrap().len();
    tree::flip(&chunk, whole_bytes / 2);

    let refusal = world.restore_from(&nginx.url(), &pin).fails_with(13);
    for word in ["chunk ", &key, &nginx.url(), "hint: "] {
        assert!(refusal.contains(word), "{word:?} is not in: {refusal}");
    }
    assert!(!world.target().exists() && world.staging().exists());

    tree::flip(&chunk, whole_bytes / 2);
    let finished = world.restore_from(&nginx.url(), &pin).summary();
    assert_eq!(finished["fetched_bytes"], whole_bytes, "{finished}");
    assert_diff_finds_nothing(&data, &world.target());
    rocks_db::assert_rocks_db_scans(&world.target(), 20_000);
}
