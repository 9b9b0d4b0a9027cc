//! Who may connect, where somebody outside of the gateway wants to be asked: a
//! script that has the gateway inside.

use std::cell::RefCell;
use std::net::SocketAddr;

/// Says whether a peer may connect: the peer of a TCP connection, `None` on a unix
/// socket.
pub type Door = Box<dyn Fn(Option<SocketAddr>) -> bool>;

thread_local! {
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

/// The gateway of this thread asks at this door; without one it asks nobody.
pub(crate) fn set(door: Option<Door>) {
    DOOR.set(door);
}

/// Whether this peer may connect.
pub(super) fn lets_in(peer: Option<SocketAddr>) -> bool {
    DOOR.with_borrow(|door| door.as_ref().is_none_or(|door| door(peer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_door_everybody_comes_in() {
        let peer = "127.0.0.1:80".parse().ok();
        assert!(lets_in(peer) && lets_in(None));
        set(Some(Box::new(|peer| peer.is_none())));
        assert!(!lets_in(peer) && lets_in(None));
        set(None);
        assert!(lets_in(peer));
    }
}
