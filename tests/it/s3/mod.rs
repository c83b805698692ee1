//! Stores in S3 buckets, with the real binary against a server in this process.

#[expect(dead_code, reason = "what only the tests of the store itself need")]
pub(crate) mod server;

mod forms;
mod money;
mod policies;
mod refusals;

use server::S3Server;

use crate::support::{World, command::Qsync};

/// A server and the runtime that it runs in.
pub(crate) struct Bucket {
    pub(crate) server: S3Server,
    _runtime: tokio::runtime::Runtime,
}

impl Bucket {
    /// An empty bucket, set up by `how`.
    pub(crate) fn new(how: impl FnOnce(S3Server) -> S3Server) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = how(runtime.block_on(S3Server::start()));
        Self { server, _runtime: runtime }
    }

    /// The URL of the store in it, with more settings.
    pub(crate) fn url(&self, settings: &str) -> String {
        self.server.url("store", settings)
    }

    /// The names of its objects, below the store's prefix, that begin with `folder`.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let names = self.server.objects().into_keys();
        names.filter_map(|name| Some(name.strip_prefix("store/")?.to_owned())).filter(|name| name.starts_with(folder)).collect()
    }
}

/// The same command with the credentials of `user`, and no others that this machine may have.
pub(crate) fn signed_by(user: &str, command: Qsync) -> Qsync {
    without_credentials(command).env("AWS_ACCESS_KEY_ID", user).env("AWS_SECRET_ACCESS_KEY", "a-secret-word")
}

/// The same command on a machine without any credentials.
pub(crate) fn without_credentials(command: Qsync) -> Qsync {
    ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"]
        .into_iter()
        .fold(command, |command, name| command.env(name, "/dev/null"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

/// A world whose awkward tree is published by the owner to the bucket with these settings, and its pin.
pub(crate) fn published(bucket: &Bucket, settings: &str) -> (World, String) {
    let world = World::new();
    crate::support::tree::make_awkward(&world.path("data"));
    let pin = world.init();
    let publish = world.publish_command(&world.path("data"), 1).args(["--to", &bucket.url(settings)]);
    signed_by(server::OWNER, publish).summary();
    (world, pin)
}
