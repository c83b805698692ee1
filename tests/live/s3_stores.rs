//! qsync's S3 store keeps the contract of stores on real servers.

use std::sync::Arc;

use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use qsync::store::{DynWriteStore, S3Store, StoreUrl, Timeouts, conformance};

use crate::servers::{
    ceph::{Ceph, OWNER, READER},
    moto::Moto,
    s3::{Bucket, User},
};

fn open(bucket: &Bucket, user: User) -> S3Store {
    let Ok(StoreUrl::S3(location)) = bucket.store().parse() else { panic!("{} is no S3 store", bucket.store()) };
    let credentials = Credentials::new(user.access_key, user.secret_key, None, None, "test");
    S3Store::open(&location, Timeouts::default()).unwrap().with_credentials(SharedCredentialsProvider::new(credentials))
}

fn open_to_write(bucket: &Bucket, user: User) -> DynWriteStore {
    Arc::new(open(bucket, user))
}

#[tokio::test(flavor = "multi_thread")]
async fn ceph_keeps_the_contract() {
    let bucket = Ceph::shared().make_paid_bucket("contract");
    conformance::run_write(|| open_to_write(&bucket, OWNER)).await;
    // Whoever pays reads the same, and is told of what is absent although the bucket cannot be listed.
    conformance::run_read(&open(&bucket, READER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_keeps_the_contract() {
    let bucket = Moto::shared().s3.make_bucket("contract", Moto::USER);
    conformance::run_write(|| open_to_write(&bucket, Moto::USER)).await;
}
