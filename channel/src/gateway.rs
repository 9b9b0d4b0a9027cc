//! The gateway's end: one [`Memory`] per worker, one [`Port`] per app thread.
//!
//! Nothing here waits, but for [`Port::gone`]. Wake-ups are left to the caller:
//! it stages a batch of requests and then calls [`Port::wake`] for each port it
//! touched, and before it sleeps itself it calls [`Memory::about_to_sleep`].

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cgi::Params;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;

pub use crate::bell::Bell;
pub use crate::buffer::{Lease, Shelf};
use crate::layout::{self, AREA, SLOTS, ThreadHead, WorkerHead};
use crate::memory::Mapping;
use crate::replies::State;
pub use crate::replies::{Payload, Replies, Reply, Taken};
use crate::ring::Reader;
use crate::slot::{BODY_FILE, BODY_SHARED, COSTED, DATA_FILE, PARAMS_FILE, Parts, Slot, TIMED};
use crate::sync::Ordering;
use crate::waits::WaitsOf;
use crate::{Begun, Phase, Role, activity, beside, request};

/// The body of a request, whole.
#[derive(Debug)]
pub enum Body {
    /// In memory.
    Memory(Vec<u8>),
    /// In shared memory.
    Shared(Lease),
    /// In an unnamed file. Each worker that gets it reads by position, so a
    /// request that is given again needs no rewinding.
    File {
        /// The open file.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

impl Body {
    /// The body's length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Shared(lease) => lease.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// A descriptor to pass it on by; none if it is empty.
    fn file(&self) -> io::Result<Option<File>> {
        Ok(match self {
            Self::Memory(bytes) if bytes.is_empty() => None,
            Self::Memory(bytes) => Some(in_memory_file(&[bytes])?),
            Self::Shared(lease) => Some(lease.file()?),
            Self::File { file, .. } => Some(file.try_clone()?),
        })
    }
}

/// How a request gets to an app thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// It fits into a slot: it can be staged behind others, and taken back.
    Small,
    /// A part of it travels as a descriptor: only an idle thread can have it.
    Large,
}

/// How a request of these parts travels.
#[must_use]
pub fn size(params: &Params, body: &Body) -> Size {
    match body {
        Body::Memory(bytes) if request::encoded_length(params) + bytes.len() <= AREA => Size::Small,
        _ => Size::Large,
    }
}

/// The shared memory of one worker.
#[derive(Debug)]
pub struct Memory {
    mapping: Arc<Mapping>,
    threads: usize,
}

/// Maps what the supervisor passed for a worker: its memory, and one socket a
/// thread. Needs a running tokio runtime.
///
/// # Errors
/// `InvalidData` when the descriptors are not what [`crate::create`] makes;
/// otherwise what the operating system reports.
pub fn open(mut fds: Vec<OwnedFd>) -> io::Result<(Memory, Vec<Port>)> {
    if fds.len() < 2 || fds.len() > 1 + layout::MAX_THREADS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a worker's descriptors are missing",
        ));
    }
    let sockets = fds.split_off(1);
    let threads = sockets.len();
    let memory = fds.pop().ok_or(io::ErrorKind::InvalidData)?;
    let mapping = Arc::new(Mapping::new(memory, layout::length(threads))?);
    let port = |(thread, socket): (usize, OwnedFd)| {
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Port {
            mapping: Arc::clone(&mapping),
            thread,
            socket: Rc::new(UnixStream::from_std(socket)?),
            ring: Reader::new(thread),
            front: 0,
            number: activity::after(0),
            staged: 0,
            state: State::Asked,
            table: Vec::new(),
            timed: false,
            costed: false,
            watched: false,
        })
    };
    let ports = sockets.into_iter().enumerate().map(port).collect::<io::Result<_>>()?;
    Ok((Memory { mapping, threads }, ports))
}

impl Memory {
    /// The gateway is about to sleep: from here on the worker rings the bell,
    /// until [`Memory::awake`]. `true` if there is news that came before; it has
    /// to be looked at before the sleep, for nobody rings for it again.
    #[must_use]
    pub fn about_to_sleep(&self) -> bool {
        let head = self.mapping.at::<WorkerHead>(0);
        head.gateway.0.announce();
        head.done.0.iter().any(|word| word.load(Ordering::Relaxed) != 0)
    }

    /// The gateway is awake: the worker need not ring.
    pub fn awake(&self) {
        self.mapping.at::<WorkerHead>(0).gateway.0.retract();
    }

    /// How long the threads have waited for the interpreter, for whoever asks.
    #[must_use]
    pub fn waits(&self) -> WaitsOf {
        WaitsOf::new(Arc::clone(&self.mapping), self.threads)
    }

    /// Calls `each` with every thread that has put something into its ring.
    pub fn news(&self, mut each: impl FnMut(usize)) {
        let head = self.mapping.at::<WorkerHead>(0);
        for (word, done) in head.done.0.iter().enumerate() {
            if done.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut bits = done.swap(0, Ordering::Acquire);
            while bits != 0 {
                let thread = word * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                // A worker may set any bit.
                if thread < self.threads {
                    each(thread);
                }
            }
        }
    }
}

/// The gateway's end of one app thread.
#[derive(Debug)]
pub struct Port {
    pub(crate) mapping: Arc<Mapping>,
    thread: usize,
    /// Carries descriptors; its end says that the worker has gone.
    socket: Rc<UnixStream>,
    pub(crate) ring: Reader,
    /// The slot of the request whose answer comes next.
    front: usize,
    /// Counts the requests of this thread.
    number: u32,
    staged: usize,
    state: State,
    /// Memory to make a request's table in.
    table: Vec<u8>,
    /// Whether the worker shall tell the times of what is staged from here on.
    pub timed: bool,
    /// And what it has cost.
    pub costed: bool,
    /// Whether notes are made for an [`onlooker`](crate::onlooker).
    pub watched: bool,
}

impl Port {
    /// How many requests this thread has, the running one included.
    #[must_use]
    pub const fn staged(&self) -> usize {
        self.staged
    }

    /// Whether one more small request can be staged.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.staged < SLOTS
    }

    /// Stages a request for a Responder behind those that are there. The thread
    /// sees it when it is done with them, or after [`Port::wake`].
    ///
    /// # Errors
    /// As of [`Port::stage_as`].
    pub fn stage(&mut self, params: &Params, body: &Body) -> io::Result<()> {
        self.stage_as(Role::Responder, params, body, None)
    }

    /// As [`Port::stage`], for any role. With a Filter's `data` the request is
    /// [`Size::Large`].
    ///
    /// # Errors
    /// `InvalidInput` when there is no room, or when a [`Size::Large`] request
    /// would stand behind another; otherwise what the operating system reports.
    pub fn stage_as(
        &mut self,
        role: Role,
        params: &Params,
        body: &Body,
        data: Option<&Body>,
    ) -> io::Result<()> {
        let large = data.is_some() || size(params, body) == Size::Large;
        if !self.has_room() || large && self.staged > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the slot is taken"));
        }
        let slot = (self.front + self.staged) % SLOTS;
        let area = layout::area(self.thread, slot);
        request::table(params, &mut self.table);
        let length = request::encoded_length(params);
        let mut parts = Parts {
            role: role as u32,
            place: if self.timed { TIMED } else { 0 } | if self.costed { COSTED } else { 0 },
            params: length,
            body: body.length(),
            data: data.map_or(0, Body::length),
        };
        if length <= AREA {
            self.mapping.write(area, &self.table);
            self.mapping.write(area + self.table.len(), params.bytes());
        } else {
            parts.place |= PARAMS_FILE;
        }
        if large {
            let mut files = Vec::new();
            if parts.place & PARAMS_FILE != 0 {
                files.push(in_memory_file(&[&self.table, params.bytes()])?);
            }
            let is_shared = matches!(body, Body::Shared(_));
            let body_place = if is_shared { BODY_SHARED } else { BODY_FILE };
            for (part, place) in [(Some(body), body_place), (data, DATA_FILE)] {
                if let Some(file) = part.map_or(Ok(None), Body::file)? {
                    parts.place |= place;
                    files.push(file);
                }
            }
            self.send(&files)?;
        } else if let Body::Memory(bytes) = body {
            self.mapping.write(area + length, bytes);
        }
        if self.watched {
            self.slot(slot).note_staged(self.number_at(self.staged), activity::moment());
        }
        self.slot(slot).stage(parts);
        self.staged += 1;
        Ok(())
    }

    /// Wakes the thread if it sleeps while something is staged.
    pub fn wake(&self) {
        self.head().idle.0.wake();
    }

    /// Takes back the request that was staged last; `false` when the worker has
    /// begun it, or when it can't be taken back.
    pub fn take_back(&mut self) -> bool {
        let Some(last) = self.staged.checked_sub(1) else { return false };
        let slot = self.slot((self.front + last) % SLOTS);
        let taken = !slot.is_large() && slot.take_back();
        self.staged -= usize::from(taken);
        taken
    }

    /// Whether the worker has not begun the request in front: it can be given to
    /// another worker without harm once this one is dead.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.staged > 0 && self.slot(self.front).is_waiting()
    }

    /// The number of the request in front, which no other of this thread has.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// The number of the request at this position.
    fn number_at(&self, position: usize) -> u32 {
        (0..position).fold(self.number, |number, _| activity::after(number))
    }

    /// The request in front ends now, with this status, 0 if it was not answered:
    /// notes it for an onlooker, if there is one.
    pub fn note_ended(&self, status: u16, took: Duration) {
        if self.watched && self.staged > 0 {
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.slot(self.front).note_ended(status, took, activity::moment());
        }
    }

    /// What has become of the request in front, as the worker says.
    #[must_use]
    pub fn phase(&self) -> Phase {
        let head = self.head();
        match self.is_untouched() {
            true => Phase::Staged,
            false => head.activity.0.phase(self.number, head.blocked.0.is_asleep()),
        }
    }

    /// How the request in front was begun, as the worker says; `None` if it was
    /// not.
    #[must_use]
    pub fn begun(&self) -> Option<Begun> {
        self.head().activity.0.begun(self.number)
    }

    /// Nobody waits any more for the answer of the request at this position; the
    /// one in front is at 0. The worker still ends it. One that it has not begun
    /// it ends without calling the app.
    pub fn cancel(&self, position: usize) {
        if position < self.staged {
            self.slot((self.front + position) % SLOTS).cancel();
            self.mapping.at::<WorkerHead>(0).watcher.0.wake();
            beside::tell_here();
        }
    }

    /// No more requests come: the thread leaves when it has done the staged ones.
    pub fn close(&self) {
        self.head().closed.0.store(1, Ordering::Release);
        self.wake();
    }

    /// What has arrived of the answer of the request in front.
    #[must_use]
    pub const fn replies(&self) -> Replies<'_> {
        Replies::new(self, self.state)
    }

    /// Gives what was read back to the worker.
    pub fn consume(&mut self, taken: Taken) {
        if taken.is_empty() {
            return;
        }
        self.state = taken.state();
        let head = self.mapping.at::<ThreadHead>(layout::thread(self.thread));
        if taken.ended() {
            head.slots[self.front % SLOTS].free();
            self.front = (self.front + 1) % SLOTS;
            self.number = activity::after(self.number);
            self.staged -= 1;
        }
        if self.ring.consume(head, taken.size()) {
            head.blocked.0.wake();
        }
    }

    /// Waits until the worker's end of this port is closed. Borrows nothing.
    pub fn gone(&self) -> impl Future<Output = ()> + use<> {
        let socket = Rc::clone(&self.socket);
        // Nothing is ever sent this way: readable means the end.
        async move { drop(socket.readable().await) }
    }

    pub(crate) fn head(&self) -> &ThreadHead {
        self.mapping.at(layout::thread(self.thread))
    }

    fn slot(&self, slot: usize) -> &Slot {
        &self.head().slots[slot % SLOTS]
    }

    fn send(&self, files: &[File]) -> io::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&*self.socket, &[IoSlice::new(b"f")], &mut ancillary, flags)?;
        Ok(())
    }
}

/// A file that lives in memory and goes with its last descriptor.
fn in_memory_file(parts: &[&[u8]]) -> io::Result<File> {
    let fd = rustix::fs::memfd_create("flupd-request", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    parts.iter().try_for_each(|part| file.write_all(part))?;
    io::Seek::rewind(&mut file)?;
    Ok(file)
}
