//! Who a process runs as, and what it may not.

use std::ffi::{CStr, CString};
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

/// A user, with the groups that the system knows of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// All groups, `gid` included.
    pub groups: Vec<u32>,
    /// What the system calls the user; a bare number has no name.
    pub name: Option<String>,
    /// The user's directory.
    pub home: Option<PathBuf>,
}

/// What a process is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Privileges {
    /// Who it runs as; none: who flupd runs as.
    pub identity: Option<Identity>,
    /// Which permissions its files don't have.
    pub umask: Option<u32>,
    /// Bounds on what it may use: `setrlimit(2)`, soft and hard.
    pub limits: ResourceLimits,
    /// Whether no program that it runs has more rights than it (`set-user-ID`).
    pub no_new_privs: bool,
}

/// Bounds of `setrlimit(2)`; none: those of flupd.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Open files.
    pub nofile: Option<u64>,
    /// Bytes of a core dump.
    pub core: Option<u64>,
    /// Bytes of address space.
    pub address_space: Option<u64>,
}

/// Why there is no such identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The system does not know this user.
    User,
    /// The system does not know this group.
    Group,
    /// The user is a bare number, and so there is no group.
    NoGroup,
}

impl Identity {
    /// The user of this name or number, with this group, or with the user's own
    /// one.
    ///
    /// # Errors
    /// What the system does not know.
    pub fn find(user: &str, group: Option<&str>) -> Result<Self, Unknown> {
        let found = match number(user) {
            Some(uid) => User::from_uid(Uid::from_raw(uid)),
            None => User::from_name(user),
        };
        let found = found.ok().flatten();
        let uid = found.as_ref().map(|user| user.uid.as_raw()).or_else(|| number(user));
        let uid = uid.ok_or(Unknown::User)?;
        let gid = match (group, &found) {
            (Some(group), _) => group_number(group).ok_or(Unknown::Group)?,
            (None, Some(user)) => user.gid.as_raw(),
            (None, None) => return Err(Unknown::NoGroup),
        };
        let name = found.as_ref().map(|user| user.name.clone());
        let groups = name.as_deref().and_then(|name| CString::new(name).ok());
        let groups = groups.map_or_else(|| vec![gid], |name| groups_of(&name, gid));
        Ok(Self { uid, gid, groups, name, home: found.map(|user| user.dir) })
    }
}

fn groups_of(user: &CStr, gid: u32) -> Vec<u32> {
    match getgrouplist(user, Gid::from_raw(gid)) {
        Ok(groups) => groups.into_iter().map(Gid::as_raw).collect(),
        Err(_) => vec![gid],
    }
}

fn group_number(group: &str) -> Option<u32> {
    let named = || Group::from_name(group).ok().flatten().map(|group| group.gid.as_raw());
    number(group).or_else(named)
}

/// A number; the highest one means "no change" to the system.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let root = Identity::find("root", None).unwrap();
        assert_eq!((root.uid, root.gid, root.name.as_deref()), (0, 0, Some("root")));
        assert!(root.groups.contains(&0));
        assert_eq!(Identity::find("0", Some("0")).unwrap().home, root.home);
        assert_eq!(Identity::find("no-such-user", None), Err(Unknown::User));
        assert_eq!(Identity::find("root", Some("no-such-group")), Err(Unknown::Group));
        assert_eq!(Identity::find("4294967295", None), Err(Unknown::User));
        let nameless = Identity::find("3999999999", Some("7")).unwrap();
        assert_eq!((nameless.uid, nameless.gid, &*nameless.groups), (3_999_999_999, 7, &[7][..]));
        assert_eq!(Identity::find("3999999999", None), Err(Unknown::NoGroup));
    }
}
