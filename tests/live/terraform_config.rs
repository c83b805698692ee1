//! The configuration that Terraform writes is all that a publisher and a reader need, with real servers in place of AWS.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    over_s3::signed_by,
    programs::{assert_diff_finds_nothing, program, succeed},
    servers::{
        cdn::Cdn,
        ceph::{Ceph, OWNER, READER},
        moto::Moto,
    },
    support::{CHANNEL, World, command::text, database, tree},
};

const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/terraform/modules/quicksync/config");
const KEYS: u64 = 2_000;

/// What the module writes with these variables; `None` where there is no Terraform.
fn written(folder: &Path, variables: &Value) -> Option<String> {
    let there = program("terraform").arg("version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        // Past the test harness, which shows nothing of a test that passes.
        std::io::stderr().write_all(b"the configuration of Terraform: NOT run: there is no terraform\n").unwrap();
        return None;
    }
    fs::create_dir(folder).unwrap();
    for entry in fs::read_dir(MODULE).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    fs::write(folder.join("terraform.tfvars.json"), variables.to_string()).unwrap();
    let terraform = |arguments: &[&str]| {
        let mut command = program("terraform");
        command.arg(format!("-chdir={}", folder.display())).args(arguments).env("CHECKPOINT_DISABLE", "1");
        text(&succeed(command).stdout)
    };
    // It has no provider, so nothing is fetched.
    terraform(&["init", "-input=false"]);
    terraform(&["apply", "-input=false", "-auto-approve"]);
    Some(terraform(&["output", "-raw", "qsync_toml"]))
}

#[test]
fn who_publishes_and_who_restores_need_no_more_than_the_configuration_that_terraform_writes() {
    let world = World::new();
    let (paid, framed) = (Ceph::shared().make_paid_bucket("terraform-raw"), Ceph::shared().make_open_bucket("terraform-cdn"));
    let cdn = Cdn::before(&framed.url());
    let cdn_store = format!("{}&cdn={}&distribution={}", framed.store(), cdn.url(), Moto::shared().make_distribution());
    let data = world.path("data");
    fs::create_dir(&data).unwrap();
    database::make_parity_db(&data.join("parity"), KEYS);
    tree::write(&data.join("CURRENT"), 40);
    let init = world.provider().args(["init", "--name", "test", "--to", &paid.store()]);
    let repo = signed_by(OWNER, init).summary()["repo"].as_str().unwrap().to_owned();

    let variables = json!({
        "stores": {"raw": paid.store(), "cdn": cdn_store},
        "channels": {CHANNEL: {"data_dir": data, "trust": format!("b3:{repo}"), "schedule": "0 3 * * *"}},
        "usage": {
            "store": framed.store(), "tb_bytes": 1_u64 << 40,
            "sources": {"raw": {"bucket": "terraform-raw", "region": "us-east-1", "filter_id": "all"}},
        },
    });
    let Some(toml) = written(&world.path("terraform"), &variables) else { return };
    let config: PathBuf = world.path("qsync.toml");
    fs::write(&config, &toml).unwrap();
    world.provider().arg("--config").arg(&config).args(["config", "check"]).summary();

    let publish = world.provider().arg("--config").arg(&config).args(["publish", CHANNEL, "--height", "1"]);
    let published = signed_by(OWNER, publish).env("AWS_ENDPOINT_URL_CLOUDFRONT", Moto::shared().s3.endpoint()).summary();
    assert_eq!(published["stores"].as_array().unwrap().len(), 2, "{published}");
    let restore = world.operator().arg("--config").arg(&config).args(["restore", CHANNEL, "--accept-cost", "--to"]);
    let restored = signed_by(READER, restore.arg(world.target())).summary();
    assert_eq!(restored["height"], 1, "{restored}");
    assert_diff_finds_nothing(&data, &world.target());
}
