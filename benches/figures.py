"""The rounds of all workloads, and what is asked of them: medians, spreads and ratios."""

import json
from dataclasses import asdict, dataclass, field
from statistics import median


# CPUs that other programs may keep busy in a round that counts.
DISTURBED = 0.5
# So many quiet rounds are needed to leave the others out.
ENOUGH = 2


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and largest of its rounds."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values):
        return cls(median(values), min(values), max(values)) if values else None


@dataclass
class Figures:
    """`rounds[workload][label]` is a list of one dictionary a round; `once` holds what is
    measured by itself, `failures` why a workload was given up."""

    rounds: dict = field(default_factory=dict)
    once: dict = field(default_factory=dict)
    about: dict = field(default_factory=dict)
    failures: dict = field(default_factory=dict)

    def spread(self, workload, label, figure):
        """The figure over the rounds that count, or None if it was not measured."""
        rounds = counting([(one,) for one in self.rounds.get(workload, {}).get(label, [])])
        return Spread.of([one[figure] for (one,) in rounds if figure in one])

    def ratio(self, workload, figure, label, other):
        """`label` to `other`, round by round, or None."""
        rounds = self.rounds.get(workload, {})
        pairs = counting(list(zip(rounds.get(label, []), rounds.get(other, []))))
        return Spread.of([a[figure] / b[figure] for a, b in pairs if figure in a and b.get(figure)])

    def labels(self, workload):
        return list(self.rounds.get(workload, {}))

    def failed(self, workload):
        """How many requests got no answer, where there were any: {label: count}."""
        counts = {
            label: sum(one.get("errors", 0) + one.get("unanswered", 0) for one in rounds)
            for label, rounds in self.rounds.get(workload, {}).items()
        }
        return {label: count for label, count in counts.items() if count}

    def foreign(self, workload):
        """How many CPUs other programs kept busy, over all rounds of a workload."""
        rounds = self.rounds.get(workload, {}).values()
        return Spread.of([one["foreign"] for labelled in rounds for one in labelled])

    def to_json(self):
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text):
        return cls(**json.loads(text))


def counting(rounds):
    """Of these tuples the ones in which no other program disturbed; all, if hardly one is left."""
    quiet = [together for together in rounds if all(one["foreign"] <= DISTURBED for one in together)]
    return quiet if len(quiet) >= ENOUGH else rounds
