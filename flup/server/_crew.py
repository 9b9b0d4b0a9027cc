"""How many app threads or processes there are, and who they are."""

import time

# Too many have to be idle for so long, in seconds, before one is let go: who
# goes at once comes back with the next burst.
CALM = 1.0


def change(idle, staying, total, least, most, at_least, limit):
    """How many have to come (positive) or to go (negative).

    Of `total` there are, `staying` have not been told to go, and `idle` of those
    have nothing to do. At least `least` and at most `most` shall be idle, and at
    least `at_least` shall stay; in all there are no more than `limit`.
    """
    missing = max(least - idle, at_least - staying)
    if missing > 0:
        return max(0, min(missing, limit - total))
    return max(min(0, most - idle), min(0, at_least - staying))


class Member:
    """One of the crew."""

    def __init__(self, number, place, seat):
        self.number = number
        self.place = place
        self.seat = seat
        self.leaves = False


class Crew:
    """Those that serve the requests of one gateway.

    Subclasses start and watch them: threads, or processes.
    """

    def __init__(self, native, gateway, least, most, limit):
        self.limit = max(1, min(limit, native.Scoreboard.MOST))
        self.least = max(1, least)
        self.most = most
        self.gateway = gateway
        self.board = native.Scoreboard(self.limit)
        self.members = []
        # How long to wait for the next look, in seconds; None: as long as nothing happens.
        self.patience = None
        self._number = 0
        self._surplus_since = None

    def adjust(self, at_least=0):
        """Brings the crew to its size. `at_least` so many there shall be in all."""
        staying = [member for member in self.members if not member.leaves]
        idle = [member for member in staying if self.board.is_idle(member.place)]
        wanted = change(
            len(idle), len(staying), len(self.members), self.least, self.most, at_least, self.limit
        )
        for _ in range(wanted):
            if not self._hire():
                break
        self._shrink(idle if wanted < 0 else ())
        # At its limit it needn't be told that all are busy.
        full = len(self.members) >= self.limit
        self.board.bound(0 if full else self.least, self.most)

    def _shrink(self, idle):
        """Lets one go of those that are idle, if there have been too many for a while."""
        now = time.monotonic()
        if not idle:
            self._surplus_since = self.patience = None
            return
        if self._surplus_since is None:
            self._surplus_since = now
        if now - self._surplus_since >= CALM:
            self._surplus_since = now
            # The youngest: the oldest have their caches warm.
            idle[-1].leaves = True
            self.gateway.drain(idle[-1].number)
        self.patience = CALM

    def counts(self):
        """How many are idle, and how many there are."""
        return self.board.idle(), len(self.members)

    def _hire(self):
        taken = {member.place for member in self.members}
        place = next(place for place in range(self.limit) if place not in taken)
        self._number += 1
        member = Member(self._number, place, self.gateway.seat(self.board, place))
        # Until it says so itself; else the next look would hire another.
        self.board.expect(place)
        if not self._start(member):
            self.board.clear(place)
            return False
        self.members.append(member)
        return True

    def _gone(self, member, cause, expected):
        self.board.clear(member.place)
        self.members.remove(member)
        self.gateway.exited(member.number, cause, expected)

    def _start(self, member):
        """Starts it and has it employed; False if there can't be another now."""
        raise NotImplementedError
