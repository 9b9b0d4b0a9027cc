//! A request that is open on a connection, and what events do to it.

use std::rc::Rc;

use cgi::Params;
use flupd_channel::Role;
use tokio::time::Instant;

use super::dialect::Event;
use super::exchange::Exchange;
use super::park;
use super::reading::{Listed, Reading};
use super::refusal::Refusal;
use super::request::Assembly;
use super::routes::{Route, Routes};
use super::wake::Wake;

/// A request that is open on the connection.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: u16,
    /// Whether the connection outlives it.
    pub(super) keep: bool,
    role: Role,
    /// Whether the end of its body is still to come.
    comes: bool,
    /// When its first byte was read.
    pub(super) begun: Instant,
    pub(super) stage: Stage,
    /// Its place among those that had to be waited for.
    pub(super) listed: Option<Listed>,
}

/// ```text
/// Begun ──params──▶ Receiving ──end of body──▶ Answering
///   └────────────refused─┴───────────────────────▲
/// ```
#[derive(Debug)]
pub(super) enum Stage {
    /// Its params arrive.
    Begun,
    /// Its body arrives.
    Receiving(Rc<Route>, Box<Assembly>),
    /// Its answer is awaited or goes out.
    Answering(Rc<Exchange>),
}

/// What an event asks of the connection.
pub(super) enum Handled {
    Nothing,
    /// The body of the open request at this place has grown.
    Grown(usize),
    /// The open request at this place is whole.
    Whole(usize),
    Aborted(u16),
}

impl Open {
    /// Whether more of it is to come.
    pub(super) fn is_receiving(&self) -> bool {
        match &self.stage {
            Stage::Begun | Stage::Receiving(..) => true,
            Stage::Answering(exchange) => exchange.is_held(),
        }
    }

    /// Nothing more of it is waited for, for this reason. The connection ends with it.
    pub(super) fn give_up(&mut self, refusal: Refusal, wake: &Rc<Wake>) {
        self.keep = false;
        match &self.stage {
            Stage::Answering(exchange) => exchange.release_end(),
            Stage::Begun | Stage::Receiving(..) => self.refuse(refusal, wake),
        }
    }

    /// It has to be waited for: who asks what runs shall hear of it.
    pub(super) fn list(&mut self, reading: &Rc<Reading>) {
        // One that is refused needs nothing more of it.
        if matches!(self.stage, Stage::Answering(_)) {
            return;
        }
        let listed = self.listed.get_or_insert_with(|| reading.list(self.begun));
        if let Stage::Receiving(route, assembly) = &self.stage {
            listed.arrives(route.app.name(), assembly);
        }
    }

    /// Nobody takes its answer any more.
    pub(super) fn cancel(&self) {
        let Stage::Answering(exchange) = &self.stage else { return };
        match exchange.pool() {
            Some(pool) => pool.cancel(exchange),
            None => exchange.cancel(),
        }
    }

    /// Answers it without the app; what still comes of it is ignored.
    pub(super) fn refuse(&mut self, refusal: Refusal, wake: &Rc<Wake>) {
        let params = match std::mem::replace(&mut self.stage, Stage::Begun) {
            Stage::Receiving(_, assembly) => Some(assembly.into_params()),
            Stage::Begun | Stage::Answering(_) => None,
        };
        self.refuse_with(refusal, params, wake);
    }

    /// The same for one whose params are these, as far as they are known.
    pub(super) fn refuse_with(
        &mut self,
        refusal: Refusal,
        params: Option<Params>,
        wake: &Rc<Wake>,
    ) {
        let exchange = Exchange::refused(refusal, params, Rc::clone(wake));
        if self.keep && self.comes {
            exchange.hold_end();
        }
        wake.notify();
        self.listed = None;
        self.stage = Stage::Answering(exchange);
    }
}

/// Carries out what of an event needs no waiting.
pub(super) fn handle(
    open: &mut Vec<Open>,
    event: Event<'_>,
    routes: &Routes,
    wake: &Rc<Wake>,
) -> Handled {
    let id = match event {
        Event::Begin { id, keep, role } => {
            let (begun, stage, comes) = (park::now(), Stage::Begun, role != Role::Authorizer);
            // Most connections never have a second one: no room for four.
            open.reserve_exact(usize::from(open.is_empty()));
            open.push(Open { id, keep, role, comes, begun, stage, listed: None });
            return Handled::Nothing;
        }
        Event::UnknownRole { .. } => return Handled::Nothing,
        Event::Params { id, .. }
        | Event::Body { id, .. }
        | Event::BodyEnd { id }
        | Event::Data { id, .. }
        | Event::DataEnd { id }
        | Event::Abort { id }
        | Event::Refused { id, .. } => id,
    };
    let Some(at) = open.iter().position(|open| open.id == id) else { return Handled::Nothing };
    let Some(open) = open.get_mut(at) else { return Handled::Nothing };
    match event {
        // A Filter's file follows its body.
        Event::BodyEnd { .. } => open.comes = open.role == Role::Filter,
        Event::DataEnd { .. } | Event::Refused { .. } => open.comes = false,
        _ => {}
    }
    let refusal = match (event, &mut open.stage) {
        (Event::Params { params, .. }, Stage::Begun) => match assemble(open.role, params, routes) {
            Ok((route, assembly)) => {
                // HAProxy up to 2.9 forgets the end of a body of nothing.
                let whole = assembly.promises_nothing();
                open.stage = Stage::Receiving(route, Box::new(assembly));
                return if whole { Handled::Whole(at) } else { Handled::Nothing };
            }
            Err((refusal, params)) => {
                open.refuse_with(refusal, Some(params), wake);
                return Handled::Nothing;
            }
        },
        (Event::Body { bytes, .. }, Stage::Receiving(_, assembly)) => match assembly.body(bytes) {
            Ok(()) => return Handled::Grown(at),
            Err(refusal) => refusal,
        },
        (Event::Data { bytes, .. }, Stage::Receiving(_, assembly)) => match assembly.data(bytes) {
            Ok(()) => return Handled::Grown(at),
            Err(refusal) => refusal,
        },
        (Event::BodyEnd { .. } | Event::DataEnd { .. }, Stage::Receiving(_, assembly)) => {
            return if assembly.ended() { Handled::Whole(at) } else { Handled::Nothing };
        }
        (Event::BodyEnd { .. } | Event::DataEnd { .. }, Stage::Answering(exchange)) => {
            if !open.comes {
                exchange.release_end();
            }
            return Handled::Nothing;
        }
        (Event::Abort { .. }, _) => return Handled::Aborted(id),
        (Event::Refused { refusal, .. }, _) => refusal,
        // The rest of a request that was refused already.
        _ => return Handled::Nothing,
    };
    open.refuse(refusal, wake);
    Handled::Nothing
}

/// Begins with the body of a request that has an app.
fn assemble(
    role: Role,
    params: Params,
    routes: &Routes,
) -> Result<(Rc<Route>, Assembly), (Refusal, Params)> {
    let route = match routes.find(&params) {
        Ok(route) => route,
        Err(refusal) => return Err((refusal, params)),
    };
    let (limits, shelf) = (route.app.limits(), route.app.shelf());
    // Its listener takes as much as any of its apps does.
    let length = params.bytes().len();
    if length > limits.params {
        let why = format!("the params have {length} bytes, more than {}", limits.params);
        let refusal = Refusal::params_too_large(format!("{why} (--max-params)"));
        return Err((refusal, params));
    }
    let assembly = Assembly::new(role, params, &limits, shelf)?;
    Ok((route, assembly))
}
