//! A node profile as TOML says it.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{Chain, Detect, Family, Globs, Need, NodeProfile, ProfileError, Rpc, StopProof};
use crate::types::RelPath;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    name: String,
    title: String,
    client: Option<String>,
    engine: Option<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    needs: Vec<Need>,
    #[serde(default)]
    never: Vec<String>,
    #[serde(default)]
    immutable: Vec<String>,
    #[serde(default)]
    opaque: Vec<String>,
    #[serde(default)]
    memory_mapped: Vec<String>,
    format_file: Option<RelPath>,
    freezer: Option<RelPath>,
    #[serde(default)]
    chains: BTreeMap<String, Chain>,
    #[serde(default)]
    detect: Detect,
    rpc: Option<WireRpc>,
    #[serde(default)]
    stop: WireStop,
    #[serde(default)]
    modes: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRpc {
    family: Family,
    url: String,
    block_time: String,
    max_head_age: String,
    min_peers: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WireStop {
    signal: String,
    newer: Vec<RelPath>,
}

impl Default for WireStop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), newer: Vec::new() }
    }
}

pub(super) fn parse(text: &str) -> Result<NodeProfile, ProfileError> {
    let wire: Profile = toml::from_str(text).map_err(|e| ProfileError::Toml(e.to_string().trim_end().to_owned()))?;
    if !is_name(&wire.name) {
        let why = "a name is of a-z, 0-9 and -, and begins with a letter".to_owned();
        return Err(ProfileError::Value { key: "name", value: wire.name, why });
    }
    check_publish(&wire.publish, &wire.optional)?;
    let others: Vec<String> =
        wire.needs.iter().map(|need| need.path.clone()).chain(wire.detect.all.clone()).chain(wire.detect.none.clone()).collect();
    for path in &others {
        check_path("needs or detect", path)?;
    }
    Globs::new(others).map_err(bad_glob("needs or detect"))?;
    Ok(NodeProfile {
        name: wire.name,
        title: wire.title,
        client: wire.client,
        engine: wire.engine,
        publish: wire.publish,
        optional: wire.optional,
        needs: wire.needs,
        never: Globs::new(wire.never).map_err(bad_glob("never"))?,
        immutable: Globs::new(wire.immutable).map_err(bad_glob("immutable"))?,
        opaque: Globs::new(wire.opaque).map_err(bad_glob("opaque"))?,
        memory_mapped: Globs::new(wire.memory_mapped).map_err(bad_glob("memory_mapped"))?,
        format_file: wire.format_file,
        freezer: wire.freezer,
        chains: wire.chains,
        detect: wire.detect,
        rpc: wire.rpc.map(rpc).transpose()?,
        stop: StopProof { signal: wire.stop.signal, newer: wire.stop.newer },
        modes: wire.modes,
    })
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// What is published are directories by globs of single names, so that a walk that goes only there finds them.
fn check_publish(publish: &[String], optional: &[String]) -> Result<(), ProfileError> {
    for part in publish {
        check_path("publish", part)?;
    }
    Globs::new(publish.iter().map(|part| part.replace(super::CHAIN, "*")).collect()).map_err(bad_glob("publish"))?;
    match optional.iter().find(|part| !publish.contains(part)) {
        Some(part) => Err(refused("optional", part, "it is not one of publish")),
        None => Ok(()),
    }
}

fn check_path(key: &'static str, path: &str) -> Result<(), ProfileError> {
    let why = |name: &str| match name {
        "" => Some("it has an empty name (a leading, trailing or doubled slash)"),
        "." | ".." => Some("it has the name . or .."),
        "**" => Some("** is not taken here, only * within one name"),
        _ => None,
    };
    path.split('/').find_map(why).map_or(Ok(()), |why| Err(refused(key, path, why)))
}

fn refused(key: &'static str, value: &str, why: &str) -> ProfileError {
    ProfileError::Value { key, value: value.to_owned(), why: why.to_owned() }
}

fn bad_glob(key: &'static str) -> impl Fn((String, String)) -> ProfileError {
    move |(value, why)| ProfileError::Value { key, value, why }
}

fn rpc(wire: WireRpc) -> Result<Rpc, ProfileError> {
    Ok(Rpc {
        block_time: duration("rpc.block_time", wire.block_time)?,
        max_head_age: duration("rpc.max_head_age", wire.max_head_age)?,
        family: wire.family,
        url: wire.url,
        min_peers: wire.min_peers,
    })
}

fn duration(key: &'static str, value: String) -> Result<Duration, ProfileError> {
    humantime::parse_duration(&value).map_err(|e| ProfileError::Value { key, value, why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = 'a'\ntitle = 'A'\n";

    #[test]
    fn a_small_profile_publishes_everything_and_knows_nothing() {
        let profile = parse(SMALL).unwrap();
        assert!(profile.publish.is_empty() && profile.rpc.is_none() && profile.stop.signal == "SIGTERM");
    }

    #[test]
    fn what_cannot_be_is_named_with_its_key() {
        let message = |more: &str| parse(&format!("{SMALL}{more}")).unwrap_err().to_string();
        assert!(message("nevver = []").contains("nevver"));
        assert!(message("never = ['b[']").starts_with("never of the node profile is \"b[\""));
        let rpc = "[rpc]\nfamily = 'bitcoin'\nurl = 'http://127.0.0.1:1'\nmin_peers = 1\nmax_head_age = '1h'\nblock_time = 'soon'";
        assert!(message(rpc).starts_with("rpc.block_time of the node profile is \"soon\""));
        for bad in ["/db", "db/", "../db", "db/**", "a//b"] {
            assert!(message(&format!("publish = ['{bad}']")).starts_with("publish of the node profile"), "{bad}");
        }
        assert!(message("publish = ['a']\noptional = ['b']").contains("not one of publish"));
        assert!(message("[stop]\nnewer = ['../x']").contains("../x"));
        assert!(parse("name = 'A b'\ntitle = ''").unwrap_err().to_string().starts_with("name of the node profile"));
    }
}
