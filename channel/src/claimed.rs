//! A claimed request, read out of its slot.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};

use crate::body::{Bodies, SharedBody};
use crate::layout;
use crate::memory::Mapping;
use crate::packet::take_fds;
use crate::request::EncodedParams;
use crate::slot::{BODY_FILE, BODY_SHARED, DATA_FILE, PARAMS_FILE, Parts};
use crate::{ChannelError, Role};

/// One assembled request.
#[derive(Debug)]
pub struct Request {
    /// The environ's byte strings, already normalised.
    pub params: EncodedParams,
    /// The whole request body.
    pub body: Body,
    /// What the app is to do.
    pub role: Role,
    /// The file that a Filter works on.
    pub data: Option<Body>,
}

/// A request body, complete before the worker sees it.
#[derive(Debug)]
pub enum Body {
    /// In memory; often empty.
    Memory(Vec<u8>),
    /// Large: in memory that is shared with the gateway.
    Shared(SharedBody),
    /// In an unnamed file, from offset 0.
    File {
        /// The open file. Other processes have it open, too, and share its
        /// offset: it is read by position.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

/// A request that belongs to the worker, and where its parts are.
pub(crate) struct Claimed<'p> {
    pub(crate) memory: &'p Mapping,
    /// Where the request's area begins.
    pub(crate) area: usize,
    pub(crate) parts: Parts,
    /// Where descriptors come, and those that have come already.
    pub(crate) socket: &'p OwnedFd,
    pub(crate) fds: &'p mut VecDeque<OwnedFd>,
    pub(crate) bodies: &'p Mutex<Bodies>,
}

impl Claimed<'_> {
    /// Copies the request, into the memory of `params`.
    ///
    /// # Errors
    /// [`ChannelError`] when the gateway sent something incomprehensible.
    pub(crate) fn read(mut self, mut params: EncodedParams) -> Result<Request, ChannelError> {
        let parts = self.parts;
        let role = u8::try_from(parts.role).ok().and_then(Role::from_number);
        let role = role.ok_or(ChannelError::Broken("an unknown role"))?;
        let in_area = if parts.place & PARAMS_FILE != 0 {
            let file = File::from(self.descriptor()?);
            params.refill(|encoded| {
                encoded.reserve(parts.params.min(1 << 24));
                file.take(parts.params as u64).read_to_end(encoded)?;
                Ok(())
            })?;
            0
        } else {
            params.refill(|encoded| self.copy(0, parts.params, encoded))?;
            parts.params
        };
        let body = if parts.place & BODY_FILE != 0 {
            Body::File { file: File::from(self.descriptor()?), length: parts.body }
        } else if parts.place & BODY_SHARED != 0 {
            let buffer = self.descriptor()?;
            let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
            Body::Shared(bodies.body(&buffer, parts.body)?)
        } else {
            let length = usize::try_from(parts.body).unwrap_or(usize::MAX);
            let mut body = Vec::new();
            self.copy(in_area, length, &mut body)?;
            Body::Memory(body)
        };
        let data = match role {
            Role::Filter if parts.place & DATA_FILE != 0 => {
                Some(Body::File { file: File::from(self.descriptor()?), length: parts.data })
            }
            Role::Filter => Some(Body::Memory(Vec::new())),
            Role::Responder | Role::Authorizer => None,
        };
        Ok(Request { params, body, role, data })
    }

    /// Appends a copy of a part of the request area.
    fn copy(&self, at: usize, length: usize, out: &mut Vec<u8>) -> Result<(), ChannelError> {
        if at.checked_add(length).is_none_or(|end| end > layout::AREA) {
            return Err(ChannelError::Broken("a request is longer than its area"));
        }
        self.memory.window(self.area + at, length).append_to_vec(out);
        Ok(())
    }

    /// The next descriptor that was sent. It was sent before the request was
    /// staged, so this does not wait.
    fn descriptor(&mut self) -> Result<OwnedFd, ChannelError> {
        while self.fds.is_empty() {
            let mut byte = [0; 16];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let into = &mut [IoSliceMut::new(&mut byte)];
            match recvmsg(self.socket, into, &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
                Ok(got) if got.bytes == 0 => return Err(ChannelError::Closed),
                Ok(_) => self.fds.extend(take_fds(&mut ancillary)),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.fds.pop_front().ok_or(ChannelError::Broken("a file is missing"))
    }
}
