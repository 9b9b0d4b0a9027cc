//! What the processes of solo workers count, put together by a process that looks on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use flupd_channel::ledger::Ledger;

use super::app::locked;
use super::counters::{Counters, Sums};
use super::generation::{Generation, Stand};
use super::{AppMetrics, Metrics};

/// Where one worker counts.
pub type Source = Ledger<Counters>;

/// All workers of an app, those that have gone included.
#[derive(Debug, Default)]
pub struct Gathered {
    living: Mutex<BTreeMap<u64, Source>>,
    gone: Mutex<Sums>,
}

impl Gathered {
    /// This worker counts there.
    pub fn begin(&self, worker: u64, source: Source) {
        locked(&self.living).insert(worker, source);
    }

    /// Its process has ended: what it has counted stays.
    pub fn end(&self, worker: u64) {
        if let Some(source) = locked(&self.living).remove(&worker) {
            locked(&self.gone).add_dead(&source);
        }
    }

    /// Brings `metrics` and those of the one app up to date. The generations of the app
    /// stand so.
    pub fn tell(&self, metrics: &Metrics, app: &AppMetrics, stands: BTreeMap<u64, Stand>) {
        // While the list is held, none goes over to what has gone.
        let living = locked(&self.living);
        let mut sums = locked(&self.gone).clone();
        living.values().for_each(|source| sums.add(source));
        drop(living);
        sums.tell(metrics, app);
        let stands = stands.into_iter().map(|(id, stand)| (id, Arc::new(Generation::told(stand))));
        *locked(&app.generations) = stands.collect();
        app.thread_nanos.iter().zip(sums.nanos).for_each(|(cell, nanos)| cell.set(nanos));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flupd_channel::onlooker::Onlooker;

    use super::super::Ending;
    use super::*;
    use crate::config::AppId;

    /// As in the process of a worker; and where that counts.
    fn worker() -> (Metrics, Source) {
        let ends = flupd_channel::create(1, &flupd_channel::bell().unwrap()).unwrap();
        let onlooker = || Onlooker::new(&ends.gateway[0]).unwrap();
        (Metrics::on(onlooker().ledger()), onlooker().ledger())
    }

    #[test]
    fn what_a_dead_process_has_counted_stays() {
        let (one, source) = worker();
        let (two, other) = worker();
        let gathered = Gathered::default();
        gathered.begin(1, source);
        gathered.begin(2, other);
        for metrics in [&one, &two] {
            metrics.opened();
            let app = metrics.app(AppId(0), None);
            app.ended(Ending::Answered(2), Duration::from_millis(3), None);
            app.generation(1).stands(Stand { busy: 1, threads: 1, ..Stand::default() });
        }
        let all = Metrics::default();
        let app = all.app(AppId(0), None);
        let tell = || {
            let stand = Stand { ready: 1, busy: 1, threads: 2, ..Stand::default() };
            gathered.tell(&all, &app, BTreeMap::from([(1, stand)]));
            let told = (all.connections.get(), all.accepted.get(), app.totals().requests);
            (told, app.thread_nanos())
        };
        let (told, [before, _]) = tell();
        assert_eq!(told, (2, 2, 2));
        assert_eq!((app.stand().busy, app.stand().ready), (1, 1));
        gathered.end(1);
        let (told, [after, _]) = tell();
        assert_eq!(told, (1, 2, 2));
        assert!(after >= before && before > 0, "{before} {after}");
        gathered.end(2);
        let over = tell();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(over, tell(), "nobody is busy any more");
    }
}
