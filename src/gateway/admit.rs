//! Who may connect to a listener.

use std::net::IpAddr;
use std::os::fd::AsFd;

use rustix::net::sockopt::socket_peercred;
use tracing::warn;

use super::seldom::Seldom;
use crate::config::Allow;

/// The rules of one listener.
#[derive(Debug)]
pub(super) struct Admit {
    rules: Vec<Allow>,
    refused: Seldom,
}

impl Admit {
    pub(super) fn new(rules: &[Allow]) -> Self {
        Self { rules: rules.to_vec(), refused: Seldom::default() }
    }

    /// Whether a peer at this address may connect. `listener` is for the log.
    pub(super) fn tcp(&self, peer: Option<IpAddr>, listener: &str) -> bool {
        let mut rules = self.rules.iter().filter(|rule| rule.is_network()).peekable();
        if rules.peek().is_none() {
            return true;
        }
        let admitted = peer.is_some_and(|peer| rules.any(|rule| rule.admits(peer)));
        if !admitted {
            let peer = peer.map(|peer| peer.to_canonical().to_string());
            self.refuse(&peer.unwrap_or_default(), listener);
        }
        admitted
    }

    /// Whether the process at the other end of this unix socket may connect.
    pub(super) fn unix(&self, socket: impl AsFd, listener: &str) -> bool {
        if self.rules.iter().all(Allow::is_network) {
            return true;
        }
        let Ok(peer) = socket_peercred(socket) else {
            self.refuse("a process that has gone", listener);
            return false;
        };
        let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
        let admitted = self.rules.iter().any(|rule| match rule {
            Allow::User(user) => *user == uid,
            Allow::Group(group) => *group == gid,
            Allow::Network { .. } => false,
        });
        if !admitted {
            self.refuse(&format!("uid {uid}, gid {gid}, pid {}", peer.pid.as_raw_pid()), listener);
        }
        admitted
    }

    fn refuse(&self, peer: &str, listener: &str) {
        self.refused.say(|and_before| {
            warn!(peer, listener, and_before, "connection refused: --allow names others");
        });
    }
}
