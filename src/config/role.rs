//! What a web server may want of an app, by its name.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A role of the FastCGI specification (section 6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Answers requests.
    #[default]
    Responder,
    /// Decides whether requests may go on.
    Authorizer,
    /// Answers requests by transforming a file that the web server sends.
    Filter,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Responder, Self::Authorizer, Self::Filter];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Responder => "responder",
            Self::Authorizer => "authorizer",
            Self::Filter => "filter",
        }
    }

    /// The role of this name, if it is one.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The role of this number (section 8, `FCGI_RESPONDER` to `FCGI_FILTER`).
    #[must_use]
    pub fn of_number(number: u16) -> Option<Self> {
        let number = usize::from(number).checked_sub(1)?;
        Self::ALL.get(number).copied()
    }
}

impl From<Role> for fastcgi_server::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Responder => Self::Responder,
            Role::Authorizer => Self::Authorizer,
            Role::Filter => Self::Filter,
        }
    }
}
