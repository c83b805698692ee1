//! The method `command`: a script of the operator freezes the node and says where its files are; the same script with `thaw` undoes that.

use std::{fs::File, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{
    Error,
    call::{Call, Late, Listen},
    marker::Marker,
};

/// What the script prints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frozen {
    /// Where the files lie that do not change.
    pub dir: PathBuf,
    /// Height of a block that they contain.
    pub height: Option<u64>,
    /// Hash of that block.
    pub block_hash: Option<String>,
}

/// Calls the script. `held` is a file whose lock lives as long as the call, also when this process dies meanwhile.
///
/// # Errors
/// When it fails, takes longer than the time to stop, or prints something else than it should; it must then be undone all the same.
pub(super) fn freeze(marker: &Marker, held: Option<File>) -> Result<Frozen, Error> {
    let what = marker.script.join(" ");
    let limit = Duration::from_secs(marker.stop_timeout_secs.saturating_add(marker.start_timeout_secs));
    let text = Call { argv: &marker.script, limit, late: Late::Leave, listen: Listen::Yes, stdin: held }.succeed()?;
    parse(&text).map_err(|why| Error::Answer { what, why })
}

/// Calls it with `thaw`.
///
/// # Errors
/// [`Error::Down`]: nobody but the script can bring the node back.
pub fn undo(marker: &Marker) -> Result<(), Error> {
    let argv: Vec<_> = marker.script.iter().cloned().chain(["thaw".to_owned()]).collect();
    let limit = Duration::from_secs(marker.start_timeout_secs);
    let undone = Call { argv: &argv, limit, late: Late::Leave, listen: Listen::No, stdin: None }.succeed();
    undone.map(drop).map_err(|error| Error::Down {
        channel: marker.channel.clone(),
        attempts: marker.attempts,
        why: crate::progress::in_one_line(&error),
    })
}

fn parse(text: &str) -> Result<Frozen, String> {
    let frozen: Frozen =
        serde_json::from_str(text).map_err(|e| format!("{e}, expected {{\"dir\": …, \"height\": …, \"block_hash\": …}}"))?;
    match &frozen {
        Frozen { dir, .. } if !dir.is_absolute() => Err(format!("dir is {}, not an absolute path", dir.display())),
        Frozen { height: None, block_hash: Some(_), .. } => Err("it has a block_hash and no height".to_owned()),
        _ => Ok(frozen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{freeze::testing::marker, marker::Phase};

    fn scripted(script: &str) -> Marker {
        let script = ["sh", "-c", script, "script"].map(str::to_owned).to_vec();
        Marker { script, stop_timeout_secs: 0, start_timeout_secs: 5, ..marker(Phase::Stopping) }
    }

    fn freeze_now(marker: &Marker) -> Result<Frozen, Error> {
        freeze(marker, None)
    }

    #[test]
    fn what_the_script_prints_is_where_the_files_are() {
        let frozen = freeze_now(&scripted(r#"echo '{"dir":"/snap","height":7,"block_hash":"0xab"}'"#)).unwrap();
        assert_eq!(frozen, Frozen { dir: "/snap".into(), height: Some(7), block_hash: Some("0xab".into()) });
        assert_eq!(freeze_now(&scripted(r#"echo '{"dir":"/snap"}'"#)).unwrap().height, None);
    }

    #[test]
    fn garbage_a_failure_and_silence_are_refused_with_what_it_said() {
        let why = |script: &str| freeze_now(&scripted(script)).unwrap_err().to_string();
        assert!(why("echo done").contains("expected {\"dir\""), "{}", why("echo done"));
        assert!(why("true").contains("expected"));
        assert!(why(r#"echo '{"dir":"snap"}'"#).contains("not an absolute path"));
        assert!(why(r#"echo '{"dir":"/a","block_hash":"x"}'"#).contains("no height"));
        assert!(why("echo no pool >&2; exit 3").ends_with("exit status: 3: no pool"));
        let slow = Marker { start_timeout_secs: 0, ..scripted("sleep 5") };
        assert!(matches!(freeze_now(&slow), Err(Error::Late { .. })));
    }

    #[test]
    fn the_second_call_says_thaw() {
        undo(&scripted(r#"test "$1" = thaw"#)).unwrap();
        assert!(matches!(undo(&scripted("exit 1")), Err(Error::Down { .. })));
    }
}
