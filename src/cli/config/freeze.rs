//! What a channel's configuration says of how its node is frozen.

use std::{path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::schema::Shape;
use crate::{cli::values::from_text, node::freeze::Method};

/// The keys of the table.
pub(super) const KEYS: &[(&str, Shape)] = &[
    ("method", Shape::Leaf),
    ("unit", Shape::Leaf),
    ("container", Shape::Leaf),
    ("engine", Shape::Leaf),
    ("stop", Shape::Leaf),
    ("start", Shape::Leaf),
    ("status", Shape::Leaf),
    ("command", Shape::Leaf),
    ("clone_dir", Shape::Leaf),
    ("max_downtime", Shape::Leaf),
    ("stop_timeout", Shape::Leaf),
    ("start_timeout", Shape::Leaf),
    ("reserve", Shape::Leaf),
];

/// How a node is frozen; what is absent has its default.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Freeze {
    /// How.
    pub(crate) method: Option<Method>,
    /// The unit of systemd.
    pub(crate) unit: Option<String>,
    /// The container.
    pub(crate) container: Option<String>,
    /// The container engine's command line.
    pub(crate) engine: Option<String>,
    /// Stops the node.
    #[serde(default, deserialize_with = "argv")]
    pub(crate) stop: Option<Vec<String>>,
    /// Starts it.
    #[serde(default, deserialize_with = "argv")]
    pub(crate) start: Option<Vec<String>>,
    /// Tells whether it runs.
    #[serde(default, deserialize_with = "argv")]
    pub(crate) status: Option<Vec<String>>,
    /// The script of the method `command`.
    #[serde(default, deserialize_with = "argv")]
    pub(crate) command: Option<Vec<String>>,
    /// Where the clone goes.
    pub(crate) clone_dir: Option<PathBuf>,
    /// How long the copy may keep the node down.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) max_downtime: Option<Time>,
    /// How long the node may take to stop.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) stop_timeout: Option<Time>,
    /// How long it may take to answer after its start.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) start_timeout: Option<Time>,
    /// Part of the file system that stays free.
    #[serde(default, deserialize_with = "from_text")]
    pub(crate) reserve: Option<Percent>,
}

/// A stretch of time that may be none at all, `0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|e| format!("{e} (write 15min, 60s or 0s)"))
    }
}

/// `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u8);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok()).filter(|number| *number <= 90);
        number.map(Self).ok_or_else(|| format!("{text:?} is no part of a file system (write 10%, at most 90%)"))
    }
}

/// A program with its arguments, or a line for the shell.
fn argv<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let wrong = || D::Error::custom("a command is a line for the shell, or a list of program and arguments");
    let argv: Vec<String> = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line, "qsync".to_owned()],
        list @ toml::Value::Array(_) => list.try_into().map_err(|_| wrong())?,
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
            return Err(wrong());
        }
    };
    match argv.first() {
        Some(program) if !program.is_empty() => Ok(Some(argv)),
        _ => Err(D::Error::custom("a command has at least a program")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_line_for_the_shell_or_a_list() {
        let read = |text: &str| toml::from_str::<Freeze>(text);
        let freeze = read("stop = 'kill $(cat pid)'\nstart = ['systemd-run', 'geth']\nmax_downtime = '0s'\nreserve = '5%'").unwrap();
        assert_eq!(freeze.stop.unwrap()[..3], ["/bin/sh", "-c", "kill $(cat pid)"]);
        assert_eq!(freeze.start.unwrap(), ["systemd-run", "geth"]);
        assert_eq!((freeze.max_downtime, freeze.reserve), (Some(Time(Duration::ZERO)), Some(Percent(5))));
        for bad in ["stop = []", "stop = 3", "stop = ['']", "reserve = '10'", "reserve = '95%'", "method = 'zfs'", "stop_timeout = 'long'"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read("method = 'stop-clone'").unwrap().method, Some(Method::StopClone));
    }
}
