//! What the application says about itself when it is asked (section 4.1).

use bytes::{BufMut, BytesMut};

use crate::record::{MAX_CONNS, MAX_REQS, MPXS_CONNS};
use crate::{Role, encode};

/// What this application can do. It is both told (`GET_VALUES`) and kept: a
/// BEGIN that asks for more is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The most connections it accepts at once.
    pub max_conns: u32,
    /// The most requests it serves at once, over all connections.
    pub max_reqs: u32,
    /// Whether one connection may carry several requests at once.
    pub mpxs_conns: bool,
    /// The roles it plays.
    pub roles: Roles,
}

impl Capabilities {
    /// Answers one `GET_VALUES`. Each known name is answered once, in the order
    /// of the specification; names it does not know are left out.
    pub(crate) fn answer<'n>(&self, names: impl Iterator<Item = &'n [u8]>, out: &mut BytesMut) {
        let (mut conns, mut reqs, mut mpxs) = (false, false, false);
        for name in names {
            conns |= name == MAX_CONNS;
            reqs |= name == MAX_REQS;
            mpxs |= name == MPXS_CONNS;
        }
        let mut content = BytesMut::new();
        let mut pair = |name: &[u8], value: String| {
            // The names are 15 bytes at most and a u32 has 10 digits.
            content.put_u8(name.len() as u8);
            content.put_u8(value.len() as u8);
            content.put_slice(name);
            content.put_slice(value.as_bytes());
        };
        if conns {
            pair(MAX_CONNS, self.max_conns.to_string());
        }
        if reqs {
            pair(MAX_REQS, self.max_reqs.to_string());
        }
        if mpxs {
            pair(MPXS_CONNS, u8::from(self.mpxs_conns).to_string());
        }
        encode::get_values_result(out, &content);
    }
}

/// A set of [`Role`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Self = Self(0);
    /// Responder and nothing else.
    pub const RESPONDER: Self = Self::NONE.with(Role::Responder);
    /// All three.
    pub const ALL: Self = Self::RESPONDER.with(Role::Authorizer).with(Role::Filter);

    /// The set with this role in it.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | 1 << role as u16)
    }

    /// Whether the role is in the set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & 1 << role as u16 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_a_set() {
        assert!(Roles::RESPONDER.contains(Role::Responder));
        assert!(!Roles::RESPONDER.contains(Role::Authorizer));
        assert!(!Roles::NONE.contains(Role::Responder));
        assert!(Roles::ALL.contains(Role::Authorizer) && Roles::ALL.contains(Role::Filter));
    }

    #[test]
    fn answers_what_is_asked_and_nothing_else() {
        let capabilities = Capabilities {
            max_conns: 512,
            max_reqs: u32::MAX,
            mpxs_conns: true,
            roles: Roles::RESPONDER,
        };
        let mut out = BytesMut::new();
        let names = [MPXS_CONNS, b"FCGI_COFFEE", MAX_REQS, MPXS_CONNS];
        capabilities.answer(names.into_iter(), &mut out);
        let expected =
            b"\x01\x0a\0\0\0\x2b\x05\0\x0d\x0aFCGI_MAX_REQS4294967295\x0f\x01FCGI_MPXS_CONNS1";
        assert_eq!(&out[..expected.len()], expected);
        assert_eq!(out.len(), 8 + 43 + 5);
    }
}
