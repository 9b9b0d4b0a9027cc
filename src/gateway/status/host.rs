//! By which name a browser may ask.
//!
//! A page of anybody's can have its own host name point to 127.0.0.1 after it was
//! loaded (DNS rebinding). For the browser the status listener is then of the same
//! origin as that page. But the browser tells the name.

use std::net::IpAddr;

use hyper::header::HeaderValue;

/// What is right in a Host header (RFC 9110, section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// `--status-allow` says who may ask, by whatever name.
    Any,
    /// The listener is on the loopback interface: an address, or `localhost`.
    Local,
}

impl Host {
    /// For a listener at this address.
    pub(super) fn of(address: &str) -> Self {
        // Others have rules, and browsers can't reach unix sockets by name.
        match split_port(address).parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Self::Local,
            _ => Self::Any,
        }
    }

    /// Whether a request for this host may be answered.
    ///
    /// # Errors
    /// A text for who asked.
    pub(super) fn check(self, given: Option<&HeaderValue>) -> Result<(), &'static str> {
        let name = given.map(|given| given.to_str().map(split_port));
        match (self, name) {
            (Self::Any, _) | (_, None) => Ok(()),
            (_, Some(Ok(name)))
                if name.parse::<IpAddr>().is_ok()
                    || name.eq_ignore_ascii_case("localhost")
                    || name.to_ascii_lowercase().ends_with(".localhost") =>
            {
                Ok(())
            }
            _ => Err("this listener is on the loopback interface: ask for it as localhost or by \
                      its address, or have the proxy in front of it send such a Host header\n"),
        }
    }
}

/// Without the port, and without the brackets of IPv6.
fn split_port(address: &str) -> &str {
    if let Some((ip, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return ip;
    }
    match address.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|c| c.is_ascii_digit()) && !name.contains(':') => {
            name
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_anybodys_is_refused_on_the_loopback_interface_only() {
        for address in ["127.0.0.1:9100", "[::1]:9100", "127.0.0.9:1"] {
            assert_eq!(Host::of(address), Host::Local, "{address}");
        }
        for address in ["0.0.0.0:9100", "192.0.2.7:9100", "unix:/run/status.sock", "[::]:9100"] {
            assert_eq!(Host::of(address), Host::Any, "{address}");
        }
        let check = |name| Host::Local.check(Some(&HeaderValue::from_static(name))).is_ok();
        for name in
            ["127.0.0.1", "127.0.0.1:9100", "LOCALHOST:8080", "[::1]:80", "[::1]", "a.localhost"]
        {
            assert!(check(name), "{name}");
        }
        for name in [
            "attacker.example",
            "attacker.example:9100",
            "localhost.example",
            "127.0.0.1.example",
            "",
        ] {
            assert!(!check(name), "{name}");
        }
        assert!(Host::Local.check(None).is_ok());
        assert!(Host::Any.check(Some(&HeaderValue::from_static("status.example"))).is_ok());
    }
}
