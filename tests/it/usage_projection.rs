//! `qsync usage projection` from outside: what was counted, what is agreed to, and what comes of it.

use std::{fs, path::PathBuf};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{Qsync, text};

const GB: u64 = 1 << 30;

/// A machine whose ticks have counted this month and the two before.
struct Scene(TempDir);

impl Scene {
    fn new(billing: &str) -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(scene.path("store/usage")).unwrap();
        let store = scene.path("store");
        let sources = "sources = [{ store = \"cdn\", distribution = \"E123\" }]";
        fs::write(scene.path("config.toml"), format!("[usage]\nstore = {store:?}\n{sources}\n{billing}\n")).unwrap();
        scene.write_state(Timestamp::now(), 200 * GB);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// So many bytes this month, known until now.
    fn write_state(&self, now: Timestamp, bytes: u64) {
        let first = now.to_zoned(TimeZone::UTC).date().first_of_month();
        let month = |back: i64| first.checked_sub(back.months()).unwrap().strftime("%Y-%m").to_string();
        let tally = |bytes: u64| json!({ "bytes": bytes, "told_tb": 0, "tb_bytes": 1_u64 << 40, "closed": false });
        let months = json!({ month(2): tally(GB), month(1): tally(GB), month(0): tally(bytes) });
        let store = json!({ "total_bytes": bytes, "total_told": 0, "data_until": now, "counter": null, "months": months });
        let state = json!({ "format": "qsync-usage/1", "last_tick": now, "stores": { "cdn": store }, "outbox": [] });
        fs::write(self.path("store/usage/state.json"), state.to_string()).unwrap();
    }

    fn project(&self, words: &[&str]) -> Qsync {
        let config = self.path("config.toml");
        Qsync::at_home(self.0.path(), &[&["--config", config.to_str().unwrap(), "usage", "projection"], words].concat())
    }
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn a_quota_that_is_passed_is_told_and_fails_only_who_asked() {
    let scene = Scene::new("quota_tb_month = 1000\n[usage.billing.cdn]\nprice_class = \"100\"\nquota_tb_month = 0.1");
    let lines = scene.project(&[]).json_lines();
    let (projected, limits) = (of_type(&lines, "projected"), of_type(&lines, "limit-passed"));
    assert_eq!((projected[0]["bytes"].as_u64(), projected[0]["quota_bytes"].as_u64()), (Some(200 * GB), Some(109_951_162_778)));
    assert!(projected[0]["month_end_bytes"].as_u64() >= Some(200 * GB));
    assert_eq!((limits.len(), &limits[0]["store"], &limits[0]["passes_at"]), (1, &"cdn".into(), &Value::Null), "{limits:?}");
    assert_eq!(lines.last().unwrap()["breaches"], 1);
    let error = scene.project(&["--exit-code"]).json_error(20);
    assert_eq!((&error["code"], error["details"].as_array().unwrap().len()), (&"limit-passed".into(), 1));
    let shown = scene.project(&[]).stdout();
    assert!(shown.contains("\nLIMIT cdn: quota, 102.4 GiB in ") && shown.contains("passed already; 200.0 GiB so far"), "{shown}");
}

#[test]
fn a_report_is_written_only_when_there_is_something_to_report() {
    let scene = Scene::new("[usage.billing.cdn]\nplan = \"free\"");
    let report = scene.path("limits.txt");
    let write = || scene.project(&["--report", report.to_str().unwrap()]).stdout();
    let shown = write();
    assert!(shown.contains("LIMIT cdn: the bytes of its flat rate, 100.0 GiB"), "{shown}");
    assert_eq!(fs::read_to_string(&report).unwrap(), shown);
    fs::remove_file(&report).unwrap();
    scene.write_state(Timestamp::now(), 0);
    assert!(!write().contains("LIMIT") && !report.exists());
    let nowhere = scene.path("no/such/folder.txt");
    scene.write_state(Timestamp::now(), 200 * GB);
    let error = scene.project(&["--report", nowhere.to_str().unwrap()]).fails_with(1);
    assert!(error.contains("the report cannot be written to") && error.contains("hint: name another file with --report"), "{error}");
}

#[test]
fn a_clock_that_is_behind_shows_no_old_month_as_the_one_that_is_now() {
    let scene = Scene::new("");
    scene.write_state(Timestamp::now().checked_add(960.hours()).unwrap(), 200 * GB);
    assert_eq!(scene.project(&[]).json_error(1)["code"], "wrong-clock");
}

#[test]
fn what_was_never_counted_is_not_found_and_a_state_of_tomorrow_is_left_alone() {
    let scene = Scene::new("");
    let state = scene.path("store/usage/state.json");
    fs::write(&state, "{\"format\":\"qsync-usage/2\"}").unwrap();
    assert_eq!(scene.project(&[]).json_error(1)["code"], "needs-newer-qsync");
    fs::remove_file(state).unwrap();
    let error = scene.project(&[]).fails_with(10);
    assert!(error.contains("nothing was counted yet") && error.contains("hint: qsync usage tick counts"), "{error}");
}

#[test]
fn what_is_agreed_for_a_store_that_is_not_counted_is_a_mistake_in_the_configuration() {
    let error = Scene::new("[usage.billing.cdm]\nreaders_pay = true").project(&[]).fails_with(2);
    assert!(error.contains("usage.billing.cdm is of a store that no source counts") && error.contains("did you mean cdn?"), "{error}");
    let error = Scene::new("[usage.billing.cdn]\nplan = \"gold\"").project(&[]).fails_with(2);
    assert!(error.contains("not a plan of CloudFront: \"gold\"; there are free, pro, business"), "{error}");
    let error = Scene::new("[usage.billing.cdn]\nquota_tb = 1").project(&[]).output();
    assert!(text(&error.stderr).contains("did you mean quota_tb_month?"), "{}", text(&error.stderr));
}
