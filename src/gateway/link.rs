//! A link serves one app thread: it takes requests from the pool, sends them
//! through the thread's port, and fills in their answers.

use std::rc::Rc;

use flupd_channel::gateway::{Port, Reply};
use flupd_channel::{ChannelError, LogLevel, Outcome};
use tracing::{debug, error, info, warn};

use super::exchange::Exchange;
use super::pool::{Pool, Seat};

/// How one request ended for its link.
enum Answered {
    /// The app thread is free again.
    Free,
    /// The app wants to exit: the thread takes no more.
    Leaves,
}

/// Serves one app thread until it leaves or dies.
///
/// # Errors
/// [`ChannelError::Broken`] when the worker must be ended because it can no
/// longer be understood; a worker that simply has gone is no error.
pub(super) async fn run(
    mut port: Port,
    seat: Rc<Seat>,
    pool: Rc<Pool>,
) -> Result<(), ChannelError> {
    let served = serve(&mut port, &seat, &pool).await;
    pool.seat_closed(&seat);
    match served {
        Err(broken @ ChannelError::Broken(_)) => Err(broken),
        Err(error) => {
            debug!(worker = seat.worker, %error, "an app thread's port has closed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn serve(port: &mut Port, seat: &Rc<Seat>, pool: &Pool) -> Result<(), ChannelError> {
    loop {
        let exchange = tokio::select! {
            biased;
            exchange = pool.next(seat) => match exchange {
                Some(exchange) => exchange,
                None => return Ok(()),
            },
            // An idle worker says nothing, so this can only be its end.
            said = port.receive() => return said.map(drop),
        };
        if exchange.is_cancelled() {
            pool.done(seat);
            continue;
        }
        match answer(port, seat, &exchange).await {
            Ok(Answered::Free) => pool.done(seat),
            Ok(Answered::Leaves) => {
                pool.drain(seat.worker);
                pool.lost(seat, exchange, "the app called sys.exit");
                return Ok(());
            }
            Err(error) => {
                // No more for the siblings either: the whole process is gone
                // or can't be trusted.
                pool.drain(seat.worker);
                pool.lost(seat, exchange, &error.to_string());
                return Err(error);
            }
        }
    }
}

/// Sends one request and takes its answer.
async fn answer(
    port: &mut Port,
    seat: &Seat,
    exchange: &Exchange,
) -> Result<Answered, ChannelError> {
    let Some(request) = &exchange.request else { return Ok(Answered::Free) };
    port.send(&request.params, &request.body).await?;
    let mut told = false;
    loop {
        if exchange.is_cancelled() && !told {
            told = true;
            port.cancel().await?;
        }
        let full = exchange.is_full();
        let reply = tokio::select! {
            biased;
            reply = port.receive(), if !full => reply?,
            () = exchange.link_woken(), if full || !told => continue,
            () = seat.worker_exited() => return last_words(port, seat, exchange),
        };
        if let Some(answered) = take(reply, seat, exchange) {
            return Ok(answered);
        }
    }
}

/// The worker process has ended: what it said before is still in the socket.
fn last_words(port: &mut Port, seat: &Seat, exchange: &Exchange) -> Result<Answered, ChannelError> {
    while let Some(reply) = port.try_receive()? {
        if let Some(answered) = take(reply, seat, exchange) {
            return Ok(answered);
        }
    }
    Err(ChannelError::Closed)
}

/// Puts a reply into the answer; `Some` at its end.
fn take(reply: Reply, seat: &Seat, exchange: &Exchange) -> Option<Answered> {
    let gone = exchange.is_cancelled();
    match reply {
        Reply::Head(_) | Reply::Body(_) if gone => {}
        Reply::Head(head) => exchange.head(head),
        Reply::Body(bytes) => exchange.body(bytes),
        Reply::Stderr(text) => {
            for line in String::from_utf8_lossy(&text).lines() {
                warn!(worker = seat.worker, request = exchange.describe(), line, "wsgi.errors");
            }
            if !gone {
                exchange.stderr(text);
            }
        }
        Reply::Log(level, text) => {
            let (worker, request) = (seat.worker, exchange.describe());
            // Indented, so that no line of an app's text can pass for one of ours.
            let what = String::from_utf8_lossy(&text).trim_end().replace('\n', "\n    ");
            match level {
                LogLevel::Error => error!(worker, request, %what, "app error"),
                LogLevel::Warn => warn!(worker, request, %what, "app warning"),
                LogLevel::Info => info!(worker, request, %what, "app notice"),
            }
        }
        Reply::End(Outcome::Exit) => return Some(Answered::Leaves),
        Reply::End(outcome) => {
            exchange.end(outcome);
            return Some(Answered::Free);
        }
    }
    None
}
