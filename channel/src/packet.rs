//! Whole messages with descriptors, over a `SOCK_SEQPACKET` socket pair: how
//! the supervisor talks to the gateway and to each worker.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// The largest message. Below the default socket buffer, so that one always fits.
pub const MAX_PACKET: usize = 96 * 1024;

/// How many descriptors one message can carry (the kernel's limit is 253).
pub const MAX_FDS: usize = 250;

/// A connected pair of packet sockets, closed on exec.
///
/// # Errors
/// What `socketpair(2)` reports.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends one message with its descriptors.
///
/// # Errors
/// `InvalidInput` when the message or the number of descriptors is over the
/// limit; otherwise what `sendmsg(2)` reports.
pub fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if message.len() > MAX_PACKET || fds.len() > MAX_FDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "control message over its limit"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(message)], &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Receives one message with its descriptors; `None` when the peer has closed.
///
/// # Errors
/// `InvalidData` when the message or its descriptors did not fit; otherwise
/// what `recvmsg(2)` reports.
pub fn receive(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut message = vec![0; MAX_PACKET];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let into = &mut [IoSliceMut::new(&mut message)];
        match recvmsg(&socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            // It closed without having read all that we said.
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "control message was truncated"));
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    message.truncate(got.bytes);
    Ok(Some((message, take_fds(&mut ancillary))))
}

/// The descriptors that came with a message.
pub(crate) fn take_fds(ancillary: &mut RecvAncillaryBuffer<'_>) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    fds
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn a_message_and_its_descriptor_arrive_whole() {
        let (a, b) = pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        send(&a, b"hello", &[writer.as_fd()]).unwrap();
        drop(writer);
        let (message, fds) = receive(&b).unwrap().unwrap();
        assert_eq!(message, b"hello");
        let mut through = std::fs::File::from(fds.into_iter().next().unwrap());
        through.write_all(b"x").unwrap();
        drop(through);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn a_peer_that_closed_with_unread_messages_is_none() {
        let (a, b) = pair().unwrap();
        send(&a, b"unread", &[]).unwrap();
        drop(b);
        assert!(receive(&a).unwrap().is_none());
    }

    #[test]
    fn a_closed_peer_is_none_and_too_long_is_refused() {
        let (a, b) = pair().unwrap();
        assert!(send(&a, &vec![0; MAX_PACKET + 1], &[]).is_err());
        drop(a);
        assert!(receive(&b).unwrap().is_none());
    }
}
