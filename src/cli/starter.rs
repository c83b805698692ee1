//! What `init --profile` writes and prints: a configuration with comments, and the schedule to install.

use std::path::Path;

use toml::Value;

use crate::{profile::NodeProfile, types::ChannelName};

/// What the configuration is about.
#[derive(Debug)]
pub(crate) struct Starter<'a> {
    /// The channel.
    pub(crate) channel: &'a ChannelName,
    /// The kind of node.
    pub(crate) profile: &'a NodeProfile,
    /// The store.
    pub(crate) store: &'a str,
    /// Where the node has its data.
    pub(crate) data_dir: &'a Path,
    /// The state directory.
    pub(crate) state_dir: &'a Path,
}

impl Starter<'_> {
    /// The text of the configuration. What is certain is set; what the operator has to decide stands there as a comment.
    pub(crate) fn config(&self) -> String {
        let text = |text: &str| Value::String(text.to_owned()).to_string();
        let path = |path: &Path| text(&path.to_string_lossy());
        let rpc = match &self.profile.rpc {
            Some(rpc) => format!(
                "rpc = {}   # asked before every copy: synced, peers, height. Nothing of the node is touched where it is not fit.\n",
                text(&rpc.url)
            ),
            None => "# Nothing is known of how to ask such a node whether it is fit to be published.\n".to_owned(),
        };
        let gate = match &self.profile.rpc {
            Some(rpc) => format!(
                "\n[channels.{channel}.gate]\nmin_peers = {}\nmax_head_age = {}\n# max_lag_blocks = 20\n# reference_rpc = \"https://another.node.example\"   # whose height the lag is measured against\n",
                rpc.min_peers,
                text(&humantime::format_duration(rpc.max_head_age).to_string()),
                channel = text(self.channel.as_str()),
            ),
            None => String::new(),
        };
        format!(
            "# {title}, published as {name}. Every key: docs/scripting.md. Check it with: qsync doctor\n\
             state_dir = {state}\n\n\
             [stores.main]\nurl = {store}\n\n\
             [channels.{channel}]\n\
             to = [\"main\"]              # add more: the first one decides races\n\
             from = [\"main\"]\n\
             data_dir = {data}\n\
             node = {node}\n\
             {rpc}\
             schedule = \"0 3 * * *\"     # for qsync agent; cron and systemd have their own\n\
             # jitter = \"10m\"\n\
             # ping_file = \"/etc/qsync/ping-url\"   # file with the address of a monitor of scheduled jobs\n\
             {gate}\n\
             [channels.{channel}.freeze]\n\
             method = \"stopped\"         # the node is stopped by hand; or stop-clone, btrfs, command (docs/agent.md)\n\
             # method = \"stop-clone\"    # stop, clone the files, start: seconds on btrfs and on xfs with reflinks\n\
             # unit = \"node.service\"\n\
             # max_downtime = \"60s\"\n",
            title = self.profile.title,
            name = self.channel,
            state = path(self.state_dir),
            store = text(self.store),
            channel = text(self.channel.as_str()),
            data = path(self.data_dir),
            node = text(&self.profile.name),
        )
    }

    /// How to have it published every night.
    pub(crate) fn schedule(&self) -> String {
        let (channel, unit) = (self.channel, instance(self.channel));
        format!(
            "Look at it once:       qsync doctor {channel} && qsync publish {channel}\n\
             With systemd:          systemctl enable --now 'qsync-publish@{unit}.timer' 'qsync-refresh@{unit}.timer' qsync-thaw.timer qsync-thaw.service\n\
             With cron:             0 3 * * *    root  qsync --jitter 10m --syslog publish {channel}\n\
             \u{20}                      30 15 * * *  root  qsync --jitter 10m --syslog head refresh {channel}\n\
             \u{20}                      */5 * * * *  root  qsync --syslog thaw --all\n\
             \u{20}                      @reboot      root  qsync --syslog thaw --all\n\
             With neither:          qsync agent\n\
             Units, cron lines and manifests for Kubernetes to copy: schedules/\n"
        )
    }
}

/// The name of a channel as the instance of a unit, as `systemd-escape` writes it (systemd.unit(5), "String escaping for inclusion in unit
/// names").
fn instance(channel: &ChannelName) -> String {
    let escape = |c: char| match c {
        '/' => "-".to_owned(),
        '-' => "\\x2d".to_owned(),
        c => c.to_string(),
    };
    channel.as_str().chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_every_built_in_profile_is_accepted() {
        for name in NodeProfile::builtin_names() {
            let (channel, profile) = ("kusama/rocksdb-pruned".parse().unwrap(), NodeProfile::builtin(name).unwrap());
            let starter = Starter {
                channel: &channel,
                profile: &profile,
                store: "s3://bucket/snap?region=eu-central-1",
                data_dir: Path::new("/srv/node \"1\""),
                state_dir: Path::new("/var/lib/qsync"),
            };
            let lines = crate::cli::read_config(&starter.config()).unwrap_or_else(|e| panic!("{name}: {e}\n{}", starter.config()));
            assert!(lines.contains(&format!("channels.\"kusama/rocksdb-pruned\".node = \"{name}\"")), "{lines}");
            assert!(starter.schedule().contains("qsync-publish@kusama-rocksdb\\x2dpruned.timer"));
        }
    }

    #[test]
    fn instances_are_escaped_as_systemd_does() {
        assert_eq!(instance(&"kusama/rocksdb-pruned".parse().unwrap()), "kusama-rocksdb\\x2dpruned");
        assert_eq!(instance(&"a.b/c_d".parse().unwrap()), "a.b-c_d");
    }
}
