//! Takes from a process, before it runs anything, what it shall not have.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::fs::Mode;
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit, umask};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::config::{Identity, Privileges};

/// Has the process begin with these privileges; `open_files` is the limit on open
/// files if they have none.
///
/// To be called before [`super::spawn`] binds the process to our life: a change
/// of the user clears that.
pub(super) fn confine(command: &mut Command, privileges: &Privileges, open_files: Option<Rlimit>) {
    let Privileges { identity, umask: mask, limits, no_new_privs } = privileges;
    let ids = identity.as_ref().map(Ids::of);
    let both = |most: u64| {
        let most = (most != u64::MAX).then_some(most);
        Rlimit { current: most, maximum: most }
    };
    let limits = [
        (Resource::Nofile, limits.nofile.map(both).or(open_files)),
        (Resource::Core, limits.core.map(both)),
        (Resource::As, limits.address_space.map(both)),
    ];
    let (mask, no_new_privs) = (mask.map(Mode::from_raw_mode), *no_new_privs);
    let closure = move || -> io::Result<()> {
        // While it still may.
        for (resource, limit) in &limits {
            if let Some(Rlimit { current, maximum }) = *limit {
                setrlimit(*resource, Rlimit { current, maximum })?;
            }
        }
        if let Some(Ids { uid, gid, groups }) = &ids {
            // The groups first: without the user's rights they can't be changed.
            set_thread_groups(groups)?;
            set_thread_res_gid(*gid, *gid, *gid)?;
            set_thread_res_uid(*uid, *uid, *uid)?;
        }
        if let Some(mask) = mask {
            umask(mask);
        }
        if no_new_privs {
            set_no_new_privs(true)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes system calls. They
    // change one thread's identity; after a fork there is only one.
    unsafe {
        command.pre_exec(closure);
    }
}

/// An identity as system calls take it, ready before the fork.
struct Ids {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Ids {
    fn of(identity: &Identity) -> Self {
        Self {
            uid: Uid::from_raw(identity.uid),
            gid: Gid::from_raw(identity.gid),
            groups: identity.groups.iter().copied().map(Gid::from_raw).collect(),
        }
    }
}
