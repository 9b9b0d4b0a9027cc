//! Whether a new generation does worse than the one beside it: (figures of both)
//! → what is worse, if anything. Pure.
//!
//! All is asked in one form: of so many requests so many were bad, of the other
//! generation's so many; can that be chance? Fisher's exact test says how likely
//! it is, also of few requests. It must be unlikely, and the difference large
//! enough to matter. While the comparison goes on the question is put again and
//! again, so that much less doubt is allowed than at its end.

use std::fmt;
use std::time::Duration;

use crate::observe::figures::{Figures, Times};

/// The doubt with which it is ended early, and that at the end.
const EARLY: f64 = 1e-5;
const LAST: f64 = 0.005;

/// So many requests must have failed at least.
const MIN_FAILED: u64 = 3;

/// The share of failed ones is at least so many times that of the other, and at
/// least so much more: half a percent.
const WORSE: f64 = 1.5;
const MORE: f64 = 0.005;

/// So many requests of the old and the new one must have been timed: early, and at
/// the end. What is usual is not known from fewer; for the rest the test sees to it.
const MIN_TIMED: [(u64, u64); 2] = [(50, 50), (20, 3)];

/// What takes so much longer than the other's median, or than 95 % of them, is
/// slow. Less than that is what a busy machine does to processes that seldom run.
const SLOWER: f64 = 1.5;
const AT_LEAST: Duration = Duration::from_millis(20);

/// At most this share may be slow: slower than the median, than 95 %.
const SLOW_MEDIAN: f64 = 0.5;
const SLOW_TAIL: f64 = 0.1;

/// How one generation does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) figures: Figures,
    /// How many workers have died.
    pub(super) crashes: u64,
}

/// What is worse with the new generation, as far as it can be known now or at the
/// end. `None` if nothing is, or if it can't be known.
pub(super) fn worse(old: &Side, new: &Side, is_end: bool) -> Option<&'static str> {
    let doubt = if is_end { LAST } else { EARLY };
    if new.crashes > old.crashes {
        return Some("its workers die");
    }
    if fails(&old.figures, &new.figures, doubt) {
        return Some("more of its requests fail");
    }
    let [early, last] = MIN_TIMED;
    let (least_before, least_now) = if is_end { last } else { early };
    let (before, now) = (&old.figures.times, &new.figures.times);
    if before.count() < least_before || now.count() < least_now {
        return None;
    }
    if slow(before, now, 0.5, SLOW_MEDIAN, doubt) {
        return Some("it is slower");
    }
    // Who has just begun is slow at times: that is judged at the end.
    (is_end && slow(before, now, 0.95, SLOW_TAIL, doubt)).then_some("more of its requests are slow")
}

fn fails(old: &Figures, new: &Figures, doubt: f64) -> bool {
    let share = |figures: &Figures| figures.failed as f64 / figures.ended().max(1) as f64;
    let (before, now) = (share(old), share(new));
    new.failed >= MIN_FAILED
        && now >= before * WORSE
        && now >= before + MORE
        && chance((new.failed, new.ended()), (old.failed, old.ended())) <= doubt
}

/// Whether more than `most` of the new ones take much longer than `part` of the
/// old ones.
fn slow(old: &Times, new: &Times, part: f64, most: f64, doubt: f64) -> bool {
    let usual = old.quantile(part);
    let limit = usual.mul_f64(SLOWER).max(usual + AT_LEAST);
    let (before, now) = (old.over(limit), new.over(limit));
    now as f64 > new.count() as f64 * most
        && chance((now, new.count()), (before, old.count())) <= doubt
}

/// How likely it is that of all that were hit at least so many are among the
/// first, if being hit has nothing to do with where: Fisher's exact test, one-sided.
/// Each is (hit, all).
fn chance(first: (u64, u64), second: (u64, u64)) -> f64 {
    let (hit, of) = first;
    let (all_hit, all) = (hit + second.0, of + second.1);
    if hit == 0 || hit as f64 * all as f64 <= all_hit as f64 * of as f64 {
        // No more than is to be expected.
        return 1.0;
    }
    let choose = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let of_others = |x: u64| of.saturating_sub(x).min(all - all_hit);
    let mut term =
        (choose(all_hit, hit) + choose(all - all_hit, of_others(hit)) - choose(all, of)).exp();
    let mut sum = 0.0;
    for x in hit..=all_hit.min(of) {
        sum += term;
        // To x + 1: from here on each is less likely than the one before.
        let (more, fewer) = ((all_hit - x) as f64, (of - x) as f64);
        term *= more * fewer / ((x + 1) as f64 * (all - all_hit + x + 1 - of) as f64);
        if term < sum * 1e-12 {
            break;
        }
    }
    sum.min(1.0)
}

/// The logarithm of n!, by Stirling's series from where that is exact enough.
fn ln_factorial(n: u64) -> f64 {
    if n < 32 {
        return (2..=n).map(|factor| (factor as f64).ln()).sum();
    }
    let n = n as f64;
    n.mul_add(n.ln(), -n) + (std::f64::consts::TAU * n).ln() / 2.0 + 1.0 / (12.0 * n)
        - 1.0 / (360.0 * n.powi(3))
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.figures)?;
        match self.crashes {
            0 => Ok(()),
            1 => f.write_str(", 1 worker died"),
            many => write!(f, ", {many} workers died"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(answered: u64, failed: u64, crashes: u64) -> Side {
        Side { figures: Figures { answered, failed, times: Times::default() }, crashes }
    }

    /// Takes (how many, milliseconds).
    fn timed(times: &[(u64, u64)]) -> Side {
        let mut side = side(0, 0, 0);
        for (count, ms) in times {
            side.figures.answered += count;
            for _ in 0..*count {
                side.figures.times.observe(Duration::from_millis(*ms));
            }
        }
        side
    }

    /// Against the sums of the exact fractions.
    #[test]
    fn the_chance_is_that_of_fishers_test() {
        for (first, second, expected) in [
            ((3, 3), (0, 27), 0.000_246_3),
            ((3, 4), (1, 4), 0.242_857),
            ((5, 20), (0, 180), 6.114e-6),
            ((10, 100), (90, 900), 1.0),
            ((7, 10), (2, 15), 0.006_503),
        ] {
            let told = chance(first, second);
            assert!((told / expected - 1.0).abs() < 0.01, "{first:?} {second:?}: {told}");
        }
        // Never more than certain, and no number of requests is too large.
        for (first, second) in [((0, 0), (0, 0)), ((1, 1), (0, 0)), ((0, 10), (5, 90))] {
            assert_eq!(chance(first, second), 1.0, "{first:?} {second:?}");
        }
        let many = chance((600_000, 10_000_000), (5_000_000, 90_000_000));
        assert!((0.0..1e-12).contains(&many), "{many}");
        assert!(chance((u32::MAX.into(), 1 << 33), (1, 1 << 33)) < 1e-12);
    }

    #[test]
    fn what_is_worse_early_and_at_the_end() {
        let fails = Some("more of its requests fail");
        let table = [
            // old, new, early, at the end
            (side(900, 0, 0), side(100, 0, 0), None, None),
            (side(0, 0, 0), side(0, 0, 0), None, None),
            // No traffic for the new one, or none at all beside it.
            (side(900, 9, 0), side(0, 0, 0), None, None),
            (side(0, 0, 0), side(0, 9, 0), None, None),
            // Few: two failures are no proof, three of three are one at the end.
            (side(27, 0, 0), side(1, 2, 0), None, None),
            (side(27, 0, 0), side(0, 3, 0), None, fails),
            (side(180, 0, 0), side(15, 5, 0), fails, fails),
            (side(900, 0, 0), side(0, 20, 0), fails, fails),
            // As bad as the old one, or hardly worse.
            (side(450, 450, 0), side(50, 50, 0), None, None),
            (side(450, 450, 0), side(40, 60, 0), None, None),
            (side(90_000, 90, 0), side(9_975, 25, 0), None, None),
            // Much worse, on top of what fails anyway.
            (side(855, 45, 0), side(80, 20, 0), fails, fails),
            (side(870, 30, 0), side(90, 10, 0), None, fails),
            // Better.
            (side(0, 900, 0), side(100, 0, 0), None, None),
            // Workers that die.
            (side(900, 0, 0), side(100, 0, 1), Some("its workers die"), Some("its workers die")),
            (side(900, 0, 1), side(100, 0, 1), None, None),
        ];
        for (old, new, early, at_the_end) in table {
            assert_eq!(worse(&old, &new, false), early, "{old} | {new}");
            assert_eq!(worse(&old, &new, true), at_the_end, "{old} | {new}");
        }
    }

    #[test]
    fn what_is_slower_early_and_at_the_end() {
        let (slower, tail) = (Some("it is slower"), Some("more of its requests are slow"));
        let usual = || timed(&[(850, 10), (50, 40)]);
        let table = [
            (usual(), timed(&[(85, 10), (15, 40)]), None, None),
            // All of them, and the first ones only.
            (usual(), timed(&[(100, 50)]), slower, slower),
            (usual(), timed(&[(92, 10), (8, 500)]), None, None),
            (usual(), timed(&[(85, 10), (15, 500)]), None, tail),
            // A little slower, or by less than anybody sees.
            (usual(), timed(&[(100, 12)]), None, None),
            (timed(&[(900, 1)]), timed(&[(100, 15)]), None, None),
            (timed(&[(900, 1)]), timed(&[(100, 30)]), slower, slower),
            // Few.
            (usual(), timed(&[(30, 100)]), None, slower),
            (usual(), timed(&[(3, 100)]), None, slower),
            (usual(), timed(&[(2, 100)]), None, None),
            (timed(&[(19, 10)]), timed(&[(100, 100)]), None, None),
            // Faster.
            (timed(&[(900, 100)]), timed(&[(100, 1)]), None, None),
        ];
        for (old, new, early, at_the_end) in table {
            assert_eq!(worse(&old, &new, false), early, "{old} | {new}");
            assert_eq!(worse(&old, &new, true), at_the_end, "{old} | {new}");
        }
    }

    /// Two that are alike are hardly ever told apart, however often it is asked.
    #[test]
    fn chance_alone_rolls_nothing_back() {
        let mut seed = 1_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut told = 0;
        for _ in 0..200 {
            let (mut old, mut new) = (side(0, 0, 0), side(0, 0, 0));
            for request in 1..=1500 {
                let side = if random(10) == 0 { &mut new } else { &mut old };
                let figures = &mut side.figures;
                *(if random(50) == 0 { &mut figures.failed } else { &mut figures.answered }) += 1;
                figures.times.observe(Duration::from_millis(10 + random(30)));
                if request % 25 == 0 && worse(&old, &new, request == 1500).is_some() {
                    told += 1;
                    break;
                }
            }
        }
        assert!(told <= 4, "{told} of 200");
    }
}
