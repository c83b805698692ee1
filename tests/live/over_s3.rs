//! Both channels of a provider at once: a bucket whose readers pay holds the chunks as they are, another, behind a cache, holds the frames.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    programs::{assert_diff_finds_nothing, shell},
    rocks_db,
    servers::{
        cdn::Cdn,
        ceph::{Ceph, Gateway, OWNER, READER, STRANGER},
        moto::Moto,
        s3::{Bucket, User},
    },
    support::{CHANNEL, World, command::Qsync, database},
};

/// A provider, an operator, and what lies between them.
struct Scene {
    world: World,
    pin: String,
    paid: Bucket,
    framed: Bucket,
    cdn: Cdn,
    distribution: String,
}

impl Scene {
    /// One with nothing published; `name` makes its buckets different from those of others.
    fn new(name: &str) -> Self {
        let paid = Ceph::shared().make_paid_bucket(&format!("{name}-paid"));
        let framed = Ceph::shared().make_open_bucket(&format!("{name}-cdn"));
        let cdn = Cdn::before(&framed.url());
        let distribution = Moto::shared().make_distribution();
        let mut scene = Self { world: World::new(), pin: String::new(), paid, framed, cdn, distribution };
        let summary = acting_as(OWNER, scene.world.provider()).args(["init", "--name", "test", "--to", &scene.paid.store()]).summary();
        scene.pin = format!("b3:{}", summary["repo"].as_str().unwrap());
        scene
    }

    /// Publishes what is in `data` to both channels in one run.
    fn publish(&self, height: u64) -> Value {
        let framed = format!("{}&cdn={}&distribution={}", self.framed.store(), self.cdn.url(), self.distribution);
        let publish = acting_as(OWNER, self.world.provider()).args(["publish", CHANNEL]).arg(self.data());
        let publish = publish.args(["--to", &self.paid.store(), "--to", &framed, "--height", &height.to_string()]);
        publish.env("AWS_ENDPOINT_URL_CLOUDFRONT", Moto::shared().s3.endpoint()).summary()
    }

    fn data(&self) -> std::path::PathBuf {
        self.world.path("data")
    }

    /// The command that restores from `sources`.
    fn restore(&self, sources: &[&str]) -> Qsync {
        let restore = self.world.operator().args(["restore", CHANNEL, "--trust", &self.pin, "--to"]).arg(self.world.target());
        sources.iter().fold(restore, |restore, source| restore.args(["--from", source]))
    }
}

fn acting_as(user: User, command: Qsync) -> Qsync {
    user.variables().into_iter().fold(command, |command, (name, value)| command.env(name, value))
}
