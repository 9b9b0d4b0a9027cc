//! What has to change in params, told first and done then.

use std::ops::Range;

use super::EnvironError;
use super::given::{Given, Places};
use super::known::Known;
use super::mount::{self, MountPoint};
use super::uri::RequestUri;
use crate::Params;

/// The changes that make an environ of params in which each name stands once.
pub(super) struct Edits {
    places: Places,
    values: [(Known, Option<Range<usize>>); 6],
    /// What will be appended to the buffer: new values that are no part of it.
    extra: Vec<u8>,
    /// The places that nothing stays in, the highest first; some lie past all.
    dropped: [usize; 5],
}

impl Edits {
    /// # Errors
    /// [`EnvironError::MethodMissing`].
    pub(super) fn of(given: &Given<'_>, at: MountPoint<'_>) -> Result<Self, EnvironError> {
        if given.value(Known::RequestMethod).is_empty() {
            return Err(EnvironError::MethodMissing);
        }
        let uri = RequestUri::of(given);
        let mount = mount::mount(given, &uri, at);
        let host = Host::of(given.value(Known::HttpHost));
        // HAProxy sends the whole Host header as SERVER_NAME.
        let name = Host::of(or(given.value(Known::ServerName), host.name)).name;
        let port = or(given.value(Known::ServerPort), or(host.port, default_port(given)));
        let protocol = or(given.value(Known::ServerProtocol), b"HTTP/1.0");

        let mut extra = Vec::new();
        let values = [
            (Known::ScriptName, &*mount.script_name),
            (Known::PathInfo, &*mount.path_info),
            (Known::QueryString, given.get(Known::QueryString).unwrap_or(uri.query)),
            (Known::ServerName, name),
            (Known::ServerPort, port),
            (Known::ServerProtocol, protocol),
        ];
        let values = values.map(|(known, value)| (known, change(given, known, value, &mut extra)));
        Ok(Self { places: given.places, values, extra, dropped: dropped(given) })
    }

    /// Makes the changes in the params that they were told of.
    pub(super) fn apply(self, params: &mut Params) {
        params.append(&self.extra);
        for (known, value) in self.values {
            let Some(value) = value else { continue };
            let place = self.places.get(known);
            // The ranges lie inside the buffer, and no limit reaches 4 GiB.
            let _ = if place < params.len() {
                params.set_value(place, value)
            } else {
                let name = params.append(known.name());
                params.push_span(name, value)
            };
        }
        for place in self.dropped {
            params.swap_remove(place);
        }
    }
}

/// Where the new value lies, or will, unless it is the old one.
fn change(
    given: &Given<'_>,
    known: Known,
    value: &[u8],
    extra: &mut Vec<u8>,
) -> Option<Range<usize>> {
    if given.get(known).is_some_and(|old| std::ptr::eq(old, value)) {
        return None;
    }
    let place = given.params.place_of(value);
    Some(place.unwrap_or_else(|| {
        let at = given.params.bytes().len() + extra.len();
        extra.extend_from_slice(value);
        at..at + value.len()
    }))
}

fn dropped(given: &Given<'_>) -> [usize; 5] {
    let places = &given.places;
    let drop_if = |drop: bool, known| if drop { places.get(known) } else { usize::MAX };
    let length = given.value(Known::ContentLength);
    let mut dropped = [
        places.get(Known::HttpProxy),
        places.get(Known::HttpContentLength),
        places.get(Known::HttpContentType),
        drop_if(matches!(length, b"" | b"-1"), Known::ContentLength),
        drop_if(given.value(Known::ContentType).is_empty(), Known::ContentType),
    ];
    dropped.sort_unstable_by(|a, b| b.cmp(a));
    dropped
}

/// The value, or another one where it is empty.
const fn or<'p>(value: &'p [u8], other: &'p [u8]) -> &'p [u8] {
    if value.is_empty() { other } else { value }
}

/// The two halves of a Host header; without a port that one is empty.
struct Host<'p> {
    name: &'p [u8],
    port: &'p [u8],
}

impl<'p> Host<'p> {
    /// `name`, `name:port`, `[v6]` or `[v6]:port`; the brackets stay.
    fn of(host: &'p [u8]) -> Self {
        let is_port = |port: &[u8]| !port.is_empty() && port.iter().all(u8::is_ascii_digit);
        // The last colon of an address without brackets is a part of it.
        let is_name = |name: &[u8]| name.ends_with(b"]") || !name.contains(&b':');
        let colon = host.iter().rposition(|&byte| byte == b':');
        let (name, port) = match colon.and_then(|at| host.split_at_checked(at)) {
            Some((name, [_, port @ ..])) if is_port(port) && is_name(name) => (name, port),
            _ => (host, &b""[..]),
        };
        Self { name: or(name, b"localhost"), port }
    }
}

fn default_port(given: &Given<'_>) -> &'static [u8] {
    let https = matches!(given.value(Known::Https), b"on" | b"ON" | b"1" | b"https")
        || given.value(Known::RequestScheme) == b"https";
    if https { b"443" } else { b"80" }
}
