//! The policies that docs/s3.md gives.

use std::collections::BTreeSet;

use qsync::{format::key, types::Hash};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/s3.md");
const STORE: &str = "arn:aws:s3:::example-snapshots/v1/";

fn policies() -> Vec<Value> {
    let blocks = DOCUMENT.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}"))).collect()
}

fn statements(policy: &Value) -> &[Value] {
    policy["Statement"].as_array().unwrap()
}

/// A word, or all words of a list.
fn words(value: &Value) -> BTreeSet<&str> {
    value.as_array().map_or_else(|| value.as_str().into_iter().collect(), |list| list.iter().filter_map(Value::as_str).collect())
}

// AW-13
#[test]
fn the_policies_of_the_documents_guard_every_immutable_object_and_allow_no_deletion() {
    let policies = policies();
    assert_eq!(policies.len(), 2);
    let denied = statements(&policies[0]).iter().find(|statement| statement["Effect"] == "Deny").unwrap();
    let hash = Hash::of(b"any");
    let immutable = [key::chunk(&hash), key::raw(&hash), key::list(&hash), key::manifest(&hash), key::root(1)];
    let expected: Vec<String> = immutable.iter().map(|key| format!("{STORE}{}/*", key.as_str().split('/').next().unwrap())).collect();
    assert_eq!(words(&denied["Resource"]), expected.iter().map(String::as_str).collect());
    let allowed = policies.iter().flat_map(statements).filter(|statement| statement["Effect"] == "Allow");
    let allowed: BTreeSet<&str> = allowed.flat_map(|statement| words(&statement["Action"])).collect();
    assert_eq!(allowed, BTreeSet::from(["s3:GetObject", "s3:ListBucket", "s3:PutObject"]));
}
