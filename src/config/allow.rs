//! Who may connect: networks for TCP, users and groups for unix sockets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use nix::unistd::{Group, User};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One rule. Whoever fits one of a listener's rules of his kind may connect; all
/// may where there is none of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Allow {
    /// All addresses of a network.
    Network {
        /// Any address of it.
        address: IpAddr,
        /// How many leading bits the others have in common with it.
        bits: u8,
    },
    /// A process of this user.
    User(u32),
    /// A process of this group; other groups of its user do not count.
    Group(u32),
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AllowError {
    /// It is of no known form.
    #[error(
        "not an address; write an IP address, a network such as 192.0.2.0/24, uid:NAME or gid:NAME"
    )]
    Unknown,
    /// `/` and something that can't be.
    #[error("/{0} is not the length of this network's prefix; write at most /{1}")]
    Bits(String, u8),
    /// An address with bits set behind the prefix.
    #[error("{0} is not the first address of this network; write {1}")]
    Inside(IpAddr, Allow),
    /// A user that does not exist.
    #[error("there is no user {0:?} here; name one, or write a number")]
    NoUser(String),
    /// A group that does not exist.
    #[error("there is no group {0:?} here; name one, or write a number")]
    NoGroup(String),
}

impl Allow {
    /// Whether it is about TCP, and not about unix sockets.
    #[must_use]
    pub const fn is_network(&self) -> bool {
        matches!(self, Self::Network { .. })
    }

    /// Whether this address may connect. An IPv4 address may stand in an IPv6 one,
    /// as a listener of both families sees it.
    #[must_use]
    pub fn admits(&self, peer: IpAddr) -> bool {
        let Self::Network { address, bits } = *self else { return false };
        match (address, peer.to_canonical()) {
            (IpAddr::V4(address), IpAddr::V4(peer)) => {
                first(u128::from(address.to_bits()) << 96, bits)
                    == first(u128::from(peer.to_bits()) << 96, bits)
            }
            (IpAddr::V6(address), IpAddr::V6(peer)) => {
                first(address.to_bits(), bits) == first(peer.to_bits(), bits)
            }
            _ => false,
        }
    }
}

/// The leading bits, the others 0.
const fn first(address: u128, bits: u8) -> u128 {
    match u128::MAX.checked_shl(128 - bits as u32) {
        Some(mask) => address & mask,
        None => 0,
    }
}

impl FromStr for Allow {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        if let Some(name) = text.strip_prefix("uid:") {
            let found = number(name).or_else(|| Some(User::from_name(name).ok()??.uid.as_raw()));
            return found.map(Self::User).ok_or_else(|| AllowError::NoUser(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("gid:") {
            let found = number(name).or_else(|| Some(Group::from_name(name).ok()??.gid.as_raw()));
            return found.map(Self::Group).ok_or_else(|| AllowError::NoGroup(name.to_owned()));
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| AllowError::Unknown)?;
        let (address, mapped) = match address.to_canonical() {
            v4 @ IpAddr::V4(_) if address.is_ipv6() => (v4, 96),
            _ => (address, 0),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let Some(bits) = bits else { return Ok(Self::Network { address, bits: most }) };
        let wrong = || AllowError::Bits(bits.to_owned(), most + mapped);
        let bits = number(bits).and_then(|bits| u8::try_from(bits).ok()).ok_or_else(wrong)?;
        let bits = bits.checked_sub(mapped).filter(|&bits| bits <= most).ok_or_else(wrong)?;
        let network = match address {
            IpAddr::V4(v4) => {
                let network = first(u128::from(v4.to_bits()) << 96, bits) >> 96;
                IpAddr::V4(Ipv4Addr::from_bits(network as u32))
            }
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(first(v6.to_bits(), bits))),
        };
        let rule = Self::Network { address: network, bits };
        if network == address { Ok(rule) } else { Err(AllowError::Inside(address, rule)) }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, bits } => write!(f, "{address}/{bits}"),
            Self::User(uid) => write!(f, "uid:{uid}"),
            Self::Group(gid) => write!(f, "gid:{gid}"),
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_admit_their_addresses() {
        for (rule, inside, outside) in [
            ("192.0.2.7", &["192.0.2.7", "::ffff:192.0.2.7"][..], &["192.0.2.8", "::1"][..]),
            ("192.0.2.0/24", &["192.0.2.0", "192.0.2.255"], &["192.0.3.0", "193.0.2.0"]),
            ("192.0.2.128/25", &["192.0.2.128"], &["192.0.2.127"]),
            ("0.0.0.0/0", &["192.0.2.7", "::ffff:10.0.0.1"], &["2001:db8::1"]),
            ("::1", &["::1"], &["::2", "127.0.0.1"]),
            ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::"]),
            ("::/0", &["2001:db8::1"], &["192.0.2.7", "::ffff:192.0.2.7"]),
            ("::ffff:192.0.2.0/120", &["192.0.2.9", "::ffff:192.0.2.9"], &["192.0.3.9"]),
        ] {
            let rule: Allow = rule.parse().unwrap();
            let admits = |peer: &&str| rule.admits(peer.parse().unwrap());
            assert!(inside.iter().all(admits), "{rule}");
            assert!(!outside.iter().any(admits), "{rule}");
        }
    }

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        assert_eq!("uid:33".parse(), Ok(Allow::User(33)));
        assert_eq!("uid:root".parse(), Ok(Allow::User(0)));
        assert_eq!("gid:root".parse(), Ok(Allow::Group(0)));
        assert!(!Allow::User(0).admits(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn every_mistake_has_its_own_error() {
        for (text, error) in [
            ("", "not an address"),
            ("localhost", "not an address"),
            ("192.0.2", "not an address"),
            ("192.0.2.0/33", "/33 is not the length of this network's prefix; write at most /32"),
            ("192.0.2.0/", "/ is not the length"),
            ("192.0.2.0/+8", "/+8 is not the length"),
            ("::/129", "/129 is not the length of this network's prefix; write at most /128"),
            ("::ffff:192.0.2.0/95", "/95 is not the length"),
            (
                "192.0.2.7/24",
                "192.0.2.7 is not the first address of this network; write 192.0.2.0/24",
            ),
            ("uid:no-such-user", "there is no user \"no-such-user\" here"),
            ("gid:", "there is no group \"\" here"),
            ("uid:-1", "there is no user"),
        ] {
            let told = text.parse::<Allow>().unwrap_err().to_string();
            assert!(told.starts_with(error), "{text}: {told}");
        }
    }
}
