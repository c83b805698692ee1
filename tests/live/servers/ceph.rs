//! Ceph's gateway: S3 that enforces who may read and who pays.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use serde_json::json;

use super::{
    Companion, Running, free_port,
    s3::{Bucket, S3, User},
};
use crate::programs::program;

/// Makes the buckets.
pub(crate) const OWNER: User = User { access_key: "OWNERKEY", secret_key: "owner-secret" };
/// May read what others may.
pub(crate) const READER: User = User { access_key: "READERKEY", secret_key: "reader-secret" };
/// Is shut out by their policies.
pub(crate) const STRANGER: User = User { access_key: "STRANGERKEY", secret_key: "stranger-secret" };

/// The cluster of this run of tests.
pub(crate) struct Ceph {
    /// S3.
    pub(crate) s3: S3,
    configuration: PathBuf,
    // It serves for as long as this is there.
    _server: Companion,
}

impl Ceph {
    /// The one that all tests share; the first to ask starts it, which takes a while.
    pub(crate) fn shared() -> &'static Self {
        static CEPH: LazyLock<Ceph> = LazyLock::new(Ceph::start);
        &CEPH
    }

    fn start() -> Self {
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/servers/ceph.sh"));
        // The disk wants a file system that is one, which a folder for temporary files is not always.
        script.arg(env!("CARGO_TARGET_TMPDIR"));
        let server = Companion::start(script);
        let (endpoint, configuration) = server.line.split_once(' ').unwrap();
        Self { s3: S3::at(endpoint), configuration: configuration.into(), _server: server }
    }

    /// Makes a bucket that everybody but the stranger may read at their own cost. It does not say what is absent, as nobody but its owner may
    /// list it.
    pub(crate) fn make_paid_bucket(&self, name: &str) -> Bucket {
        let mut bucket = self.s3.make_bucket(name, OWNER);
        bucket.set_policy(&policy(name));
        bucket.set_requester_pays();
        bucket
    }

    /// Makes a bucket that anybody may read for nothing, for a cache to stand before it. It does not say what is absent either.
    pub(crate) fn make_open_bucket(&self, name: &str) -> Bucket {
        let bucket = self.s3.make_bucket(name, OWNER);
        bucket.set_policy(&policy(name));
        bucket
    }

    /// Another gateway to the same buckets, which a test may kill.
    pub(crate) fn start_gateway(&self) -> Gateway {
        let port = free_port();
        Gateway { process: gateway(&self.configuration, port), configuration: self.configuration.clone(), port }
    }
}

/// A gateway of one test; it is killed when this is dropped.
pub(crate) struct Gateway {
    process: Running,
    configuration: PathBuf,
    port: u16,
}

impl Gateway {
    /// A bucket as it is seen through this gateway.
    pub(crate) fn bucket(&self, bucket: &Bucket) -> Bucket {
        bucket.at(&format!("http://127.0.0.1:{}", self.port))
    }

    /// Kills it, with every connection.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port after [`Self::kill`].
    pub(crate) fn start_again(&mut self) {
        self.process = gateway(&self.configuration, self.port);
    }
}

fn gateway(configuration: &PathBuf, port: u16) -> Running {
    let log = configuration.with_file_name(format!("log/gateway-{port}.log"));
    let mut command = program("setpriv");
    command.args(["--pdeathsig", "KILL", "radosgw", "-f", "-n", "client.rgw", "-c"]).arg(configuration);
    command.arg("--log-file").arg(&log).arg(format!("--rgw-frontends=beast endpoint=127.0.0.1:{port}"));
    Running::start(command, port, &log)
}

/// Lets everybody but the stranger read the objects of a bucket.
fn policy(bucket: &str) -> String {
    let statement = |effect: &str, who: &str| {
        let objects = format!("arn:aws:s3:::{bucket}/*");
        json!({"Effect": effect, "Principal": {"AWS": [who]}, "Action": ["s3:GetObject"], "Resource": [objects]})
    };
    json!({"Version": "2012-10-17", "Statement": [statement("Allow", "*"), statement("Deny", "arn:aws:iam:::user/stranger")]}).to_string()
}
