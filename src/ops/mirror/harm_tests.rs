//! Mirrors that lost objects, or hold damaged ones.

use super::{
    tests::{assert_holds, bytes, channel, only, world},
    *,
};
use crate::{format::key, store::MemoryStore, types::ObjectKey};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_the_mirror_has_damaged_is_named() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    let (object, mut bytes) = world.objects().await.into_iter().find(|(object, _)| object.as_str().starts_with("chunks/")).unwrap();
    bytes[9] ^= 1;
    mirror.overwrite(&object, bytes);
    let error = world.mirror(mirror.clone()).await.unwrap_err();
    assert!(matches!(&error, Error::Damaged { object: named, .. } if *named == object.to_string()), "{error:?}");
    assert!(!mirror.keys().contains(&key::head(&channel())));
}

// PU-10
#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_lost_or_damaged_objects_is_healed_when_that_is_asked_for() {
    let world = world().await;
    world.publish_again().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    let rehash = || Options { rehash: true, ..world.options(world.published.clone(), Arc::new(mirror.clone())) };
    assert_eq!(only(rehash()).await.unwrap().outcome, Outcome::Current);
    let objects = world.objects().await;
    let below = |folder: &'static str| objects.iter().filter(move |(object, _)| object.as_str().starts_with(folder));
    let mut harmed = below("chunks/").take(3).chain(below("lists/").take(1)).chain(below("manifests/").take(2));
    let count = harmed.clone().count();
    assert!(mirror.remove(harmed.next().unwrap().0));
    for (at, (object, bytes)) in harmed.enumerate() {
        let mut bytes = bytes.clone();
        if at % 2 == 0 {
            bytes[9] ^= 1
        } else {
            bytes.extend([0; 7])
        }
        mirror.overwrite(object, bytes);
    }
    assert_eq!(world.mirror(mirror.clone()).await.unwrap().outcome, Outcome::Current, "it is believed that it has what it shows");
    let would = only(Options { dry_run: true, ..rehash() }).await.unwrap();
    let done = only(rehash()).await.unwrap();
    assert_eq!((would.outcome, would.objects), (done.outcome, done.objects));
    assert_eq!((done.outcome, done.objects), (Outcome::Copied, count as u64));
    assert_holds(&mirror, &objects).await;
    assert_eq!(only(rehash()).await.unwrap().objects, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_mirror_that_cannot_be_read_is_put_again() {
    let world = world().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    let lost: Vec<_> = mirror
        .keys()
        .into_iter()
        .filter(|object| object.as_str().starts_with("chunks/") || object.as_str().starts_with("manifests/"))
        .collect();
    assert!(lost.iter().all(|object| mirror.remove(object)));
    world.publish_again().await;
    assert_eq!(world.mirror(mirror.clone()).await.unwrap().snapshots, 2);
    assert_holds(&mirror, &world.objects().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_that_the_mirror_only_names_is_put_again() {
    let world = world().await;
    let first = world.objects().await;
    world.publish_again().await;
    let mirror = MemoryStore::new("mirror");
    world.mirror(mirror.clone()).await.unwrap();
    // Of the two snapshots that it names, what only the older one has is gone.
    let second = MemoryStore::new("the second alone");
    world.publish_to(&second).await;
    let is_gone = |object: &&ObjectKey| !second.keys().contains(object) && !object.as_str().starts_with("heads/");
    let gone: Vec<&ObjectKey> = first.keys().filter(is_gone).collect();
    assert!(gone.len() == 3 && gone.iter().all(|object| mirror.remove(object)), "{gone:?}");
    std::fs::write(world.folder.path().join("data/newer"), bytes(6, 100)).unwrap();
    world.publish().await;
    assert_eq!(world.mirror(mirror.clone()).await.unwrap().snapshots, 2);
    assert_holds(&mirror, &world.objects().await).await;
}
