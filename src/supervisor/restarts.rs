//! Who waits for which restart.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use crate::admin::Outcome;
use crate::config::GroupId;

/// All who wait for the workers of some apps to be replaced.
#[derive(Debug, Default)]
pub(super) struct Restarts(Vec<Waiter>);

#[derive(Debug)]
struct Waiter {
    left: BTreeSet<GroupId>,
    failures: Vec<String>,
    waits: Option<oneshot::Sender<Outcome>>,
}

impl Restarts {
    /// Somebody waits for these.
    pub(super) fn begin(&mut self, groups: &[GroupId], waits: oneshot::Sender<Outcome>) {
        let left = groups.iter().copied().collect();
        self.0.push(Waiter { left, failures: Vec::new(), waits: Some(waits) });
    }

    /// One has ended: it failed, if there is a reason.
    pub(super) fn ended(&mut self, group: GroupId, why: Option<String>) {
        for waiter in &mut self.0 {
            if waiter.left.remove(&group) {
                waiter.failures.extend(why.clone());
            }
        }
        self.0.retain_mut(|waiter| {
            if !waiter.left.is_empty() {
                return true;
            }
            let outcome = match &*waiter.failures {
                [] => Outcome::Done,
                failures => Outcome::Failed(failures.join("\n")),
            };
            // Who has gone does not wait.
            let _ = waiter.waits.take().map(|waits| waits.send(outcome));
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AppId;

    #[test]
    fn who_waits_for_several_hears_of_all() {
        let [shop, blog] = [1, 2].map(|id| GroupId::first(AppId(id)));
        let mut restarts = Restarts::default();
        let (both, mut of_both) = oneshot::channel();
        let (one, mut of_one) = oneshot::channel();
        restarts.begin(&[shop, blog], both);
        restarts.begin(&[shop], one);
        restarts.ended(shop, None);
        assert_eq!(of_one.try_recv(), Ok(Outcome::Done));
        assert!(of_both.try_recv().is_err());
        restarts.ended(blog, Some("blog: no such module".into()));
        assert_eq!(of_both.try_recv(), Ok(Outcome::Failed("blog: no such module".into())));
        assert!(restarts.0.is_empty());
    }
}
