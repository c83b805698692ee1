//! `--chown U:G`: names or numbers of a user and a group of this machine.

use std::str::FromStr;

use nix::unistd::{Group, User};

use crate::restore::Owner;

/// A user and a group as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnerArg(pub(crate) Owner);

impl FromStr for OwnerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').ok_or("write USER:GROUP, names or numbers")?;
        Ok(Self(Owner { uid: uid(user)?, gid: gid(group)? }))
    }
}

/// A user id; a number stands for itself, whether such a user exists or not.
fn uid(user: &str) -> Result<u32, String> {
    user.parse().or_else(|_| match User::from_name(user) {
        Ok(Some(found)) => Ok(found.uid.as_raw()),
        Ok(None) => Err(format!("no user {user:?} on this machine")),
        Err(e) => Err(format!("the user {user:?} cannot be looked up: {e}")),
    })
}

/// A group id; a number stands for itself, whether such a group exists or not.
fn gid(group: &str) -> Result<u32, String> {
    group.parse().or_else(|_| match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) => Err(format!("no group {group:?} on this machine")),
        Err(e) => Err(format!("the group {group:?} cannot be looked up: {e}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_same_owner() {
        assert_eq!("root:root".parse(), Ok(OwnerArg(Owner { uid: 0, gid: 0 })));
        assert_eq!("0:root".parse(), Ok(OwnerArg(Owner { uid: 0, gid: 0 })));
        assert_eq!("4711:4712".parse(), Ok(OwnerArg(Owner { uid: 4711, gid: 4712 })));
    }

    #[test]
    fn refuses_what_is_not_on_this_machine() {
        for bad in ["root", "no-such-user-here:root", "root:no-such-group-here", ":", "-1:0"] {
            assert!(bad.parse::<OwnerArg>().is_err(), "{bad}");
        }
    }
}
