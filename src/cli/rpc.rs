//! From flags, variables and the configuration to a node that can be asked.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use zeroize::Zeroizing;

use super::{code::Code, config::Channel, exit::Failure, values::Span};
use crate::{
    node::{
        gate::{Gate, Patience, plan::Policy},
        probe::Probe,
        rpc::{Rpc, RpcAuth, RpcUrl},
    },
    profile::{Family, NodeProfile},
    types::ChannelName,
};

/// The most bytes that a file with a URL or a cookie may have.
const MAX_BYTES: u64 = 1 << 16;
/// The variable with what the node wants to see.
const AUTH: &str = "QSYNC_RPC_AUTH";
/// How far behind a reference a node may be, unless told otherwise.
const MAX_LAG_BLOCKS: u64 = 20;

/// Where a node answers.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RpcArgs {
    /// Where the node's RPC answers: http(s)://… [default: rpc of the channel]
    #[arg(long, value_name = "URL")]
    rpc: Option<String>,
    /// File with that URL, and in a second line basic:USER:PASSWORD or bearer:TOKEN if the node wants one; not readable by everybody
    #[arg(long, value_name = "FILE", conflicts_with = "rpc")]
    rpc_url_file: Option<PathBuf>,
    /// The .cookie file of bitcoind, with its password
    #[arg(long, value_name = "FILE")]
    rpc_cookie_file: Option<PathBuf>,
}

impl RpcArgs {
    /// Whether it is said for this run, and not only in the configuration.
    pub(crate) fn is_given(&self) -> bool {
        self.rpc.is_some() || self.rpc_url_file.is_some()
    }
}

/// What a node must be to be published.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GateArgs {
    /// Peers that the node must have; 0: it need not say [default: as its profile says]
    #[arg(long, value_name = "COUNT")]
    min_peers: Option<u64>,
    /// Blocks that the node may be behind the reference, or behind the highest block it has heard of [default: 20 with a reference]
    #[arg(long, value_name = "COUNT")]
    max_lag_blocks: Option<u64>,
    /// Where another node of the chain answers, to compare heights with
    #[arg(long, value_name = "URL")]
    reference_rpc: Option<String>,
    /// File with that URL
    #[arg(long, value_name = "FILE", conflicts_with = "reference_rpc")]
    reference_rpc_file: Option<PathBuf>,
    /// How old the node's newest block may be [default: as its profile says]
    #[arg(long, value_name = "TIME")]
    max_head_age: Option<Span>,
}

/// The gate of a channel; `None` where nothing says where the node answers. The address in its profile is only what is usual.
///
/// # Errors
/// When an address or a file is wrong.
pub(crate) fn gate(
    rpc: &RpcArgs,
    args: &GateArgs,
    channel: &ChannelName,
    profile: &NodeProfile,
    configured: &Channel,
) -> Result<Option<Gate>, Failure> {
    let Some(url) = node_url(rpc, configured)? else { return Ok(None) };
    let family = profile.rpc.as_ref().map(|rpc| rpc.family);
    let reference = reference_url(args, configured)?.map(|url| probe(url, family)).transpose()?;
    let policy = policy(args, channel, profile, configured, reference.is_some());
    Ok(Some(Gate { probe: probe(url, family)?, reference, patience: Patience::for_blocks(policy.block_time), policy }))
}

/// Where the node answers, `HOST:PORT`; `None` where nothing says so.
///
/// # Errors
/// As [`gate`].
pub(crate) fn address(rpc: &RpcArgs, configured: &Channel) -> Result<Option<String>, Failure> {
    Ok(node_url(rpc, configured)?.and_then(|url| url.address()))
}

/// A node at that address.
///
/// # Errors
/// When no TLS client can be made.
pub(crate) fn probe(url: RpcUrl, family: Option<Family>) -> Result<Probe, Failure> {
    let rpc = Rpc::open(url).map_err(|error| Failure::from_error(Code::Error, &error))?;
    Ok(Probe::new(rpc, family))
}

/// Reads a URL that was given as a flag. It is not repeated in errors.
///
/// # Errors
/// When it is none.
pub(crate) fn url(flag: &str, text: &str) -> Result<RpcUrl, Failure> {
    text.parse().map_err(|error| Failure::from_error(Code::Usage, &error).context(format!("{flag} cannot be used")))
}

fn policy(args: &GateArgs, channel: &ChannelName, profile: &NodeProfile, configured: &Channel, has_reference: bool) -> Policy {
    let (rpc, gate) = (profile.rpc.as_ref(), &configured.gate);
    let seconds = Duration::from_secs;
    Policy {
        block_time: rpc.map_or(seconds(12), |rpc| rpc.block_time),
        max_head_age: args.max_head_age.or(gate.max_head_age).map(|age| age.0).or(rpc.map(|rpc| rpc.max_head_age)).unwrap_or(seconds(600)),
        min_peers: args.min_peers.or(gate.min_peers).or(rpc.map(|rpc| rpc.min_peers)).unwrap_or(0),
        max_lag_blocks: args.max_lag_blocks.or(gate.max_lag_blocks).or(has_reference.then_some(MAX_LAG_BLOCKS)),
        chain: profile.chains.get(channel.chain()).and_then(|chain| chain.genesis.clone()),
    }
}

/// Where the node answers: a flag or variable before the configuration.
fn node_url(args: &RpcArgs, configured: &Channel) -> Result<Option<RpcUrl>, Failure> {
    let flag = chosen("--rpc", args.rpc.as_deref(), args.rpc_url_file.as_deref())?;
    let found = match flag {
        Some(url) => Some(url),
        None => chosen("rpc of the channel", configured.rpc.as_deref(), configured.rpc_url_file.as_deref())?,
    };
    let Some(found) = found else { return Ok(None) };
    match authentication(args.rpc_cookie_file.as_deref().or(configured.rpc_cookie_file.as_deref()))? {
        Some(auth) => Ok(Some(found.with_auth(auth))),
        None => Ok(Some(found)),
    }
}

fn reference_url(args: &GateArgs, configured: &Channel) -> Result<Option<RpcUrl>, Failure> {
    match chosen("--reference-rpc", args.reference_rpc.as_deref(), args.reference_rpc_file.as_deref())? {
        Some(url) => Ok(Some(url)),
        None => {
            let gate = &configured.gate;
            chosen("gate.reference_rpc of the channel", gate.reference_rpc.as_deref(), gate.reference_rpc_file.as_deref())
        }
    }
}

/// The address that is written, or that a file holds.
fn chosen(name: &str, written: Option<&str>, file: Option<&Path>) -> Result<Option<RpcUrl>, Failure> {
    match (written, file) {
        (Some(_), Some(_)) => {
            Err(Failure::new(Code::Config, format!("{name} stands both in a file and beside it")).hint("leave one of them out"))
        }
        (Some(text), None) => url(name, text).map(Some),
        (None, Some(file)) => read_url(file).map(Some),
        (None, None) => Ok(None),
    }
}

/// What the node wants to see: the variable, or else bitcoind's cookie, which is another one after each start.
fn authentication(cookie: Option<&Path>) -> Result<Option<RpcAuth>, Failure> {
    if let Some(text) = std::env::var(AUTH).ok().map(Zeroizing::new).filter(|text| !text.is_empty()) {
        return text.parse().map(Some).map_err(|error| Failure::from_error(Code::Usage, &error).context(format!("{AUTH} cannot be used")));
    }
    let Some(file) = cookie else { return Ok(None) };
    let wrong = |error| Failure::from_error(Code::Config, &error).context(format!("{} is no cookie of bitcoind", file.display()));
    RpcAuth::of_cookie(&read_secret(file)?).map(Some).map_err(wrong)
}

/// A URL, and in a second line what the node wants to see.
fn read_url(file: &Path) -> Result<RpcUrl, Failure> {
    let text = read_secret(file)?;
    let wrong = |error: &dyn std::error::Error| Failure::from_error(Code::Config, error).context(format!("in {}", file.display()));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let url: RpcUrl = lines.next().unwrap_or_default().parse().map_err(|error| wrong(&error))?;
    match lines.next() {
        Some(auth) => Ok(url.with_auth(auth.parse().map_err(|error| wrong(&error))?)),
        None => Ok(url),
    }
}

/// Reads a file that not everybody may read.
fn read_secret(file: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |e| Failure::from_error(Code::Config, &e).context(format!("{} cannot be read", file.display()));
    let meta = fs::metadata(file).map_err(unreadable)?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let message = format!("{} holds a secret and everybody can read it: its mode is {mode:03o}", file.display());
        return Err(Failure::new(Code::Config, message).hint(format!("chmod 600 {}", file.display())));
    }
    if meta.len() > MAX_BYTES {
        return Err(Failure::new(Code::Config, format!("{} is larger than {MAX_BYTES} bytes", file.display())));
    }
    fs::read_to_string(file).map(Zeroizing::new).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        (dir, file)
    }

    fn no_flags() -> (RpcArgs, GateArgs) {
        let gate = GateArgs { min_peers: None, max_lag_blocks: None, reference_rpc: None, reference_rpc_file: None, max_head_age: None };
        (RpcArgs { rpc: None, rpc_url_file: None, rpc_cookie_file: None }, gate)
    }

    #[test]
    fn a_file_with_a_secret_is_not_for_everybody() {
        let (_dir, exposed) = file("http://u:hunter2@127.0.0.1:1", 0o644);
        let failure = read_url(&exposed).unwrap_err();
        assert!(failure.messages[0].ends_with("everybody can read it: its mode is 644"), "{failure:?}");
        let (_dir, kept) = file("http://127.0.0.1:1/token\nbearer:hunter2\n", 0o640);
        let url = read_url(&kept).unwrap();
        assert!(url.has_secret() && url.to_string() == "http://127.0.0.1:1");
        let (_dir, wrong) = file("http://127.0.0.1:1\nhunter2\n", 0o600);
        assert!(!format!("{:?}", read_url(&wrong).unwrap_err()).contains("hunter2"));
    }

    #[test]
    fn flags_stand_before_the_configuration_and_that_before_the_profile() {
        let (rpc, gate_args) = no_flags();
        let profile = NodeProfile::builtin("geth").unwrap();
        let channel: ChannelName = "ethereum/full".parse().unwrap();
        let mut configured = Channel::default();
        assert!(gate(&rpc, &gate_args, &channel, &profile, &configured).unwrap().is_none(), "a profile alone asks nobody");
        configured.rpc = Some("http://127.0.0.1:1".to_owned());
        let policy = gate(&rpc, &gate_args, &channel, &profile, &configured).unwrap().unwrap().policy;
        assert_eq!((policy.min_peers, policy.max_lag_blocks, policy.chain.as_deref()), (1, None, Some("1")));
        configured.gate.min_peers = Some(3);
        configured.gate.reference_rpc = Some("http://127.0.0.1:2".to_owned());
        let with = gate(&rpc, &gate_args, &channel, &profile, &configured).unwrap().unwrap();
        assert_eq!((with.policy.min_peers, with.policy.max_lag_blocks), (3, Some(20)));
        assert_eq!(with.reference.unwrap().name(), "http://127.0.0.1:2");
        let flags = (RpcArgs { rpc: Some("http://127.0.0.1:3".to_owned()), ..rpc }, GateArgs { min_peers: Some(0), ..gate_args });
        let with = gate(&flags.0, &flags.1, &channel, &profile, &configured).unwrap().unwrap();
        assert_eq!((with.probe.name(), with.policy.min_peers), ("http://127.0.0.1:3", 0));
    }

    #[test]
    fn a_cookie_of_bitcoind_is_read_anew_each_time() {
        let (_dir, cookie) = file("__cookie__:00ff", 0o600);
        assert!(authentication(Some(&cookie)).unwrap().is_some() && authentication(None).unwrap().is_none());
        fs::write(&cookie, "").unwrap();
        assert!(authentication(Some(&cookie)).unwrap_err().messages[0].ends_with("is no cookie of bitcoind"));
    }
}
