"""What flows in the capacity model: amounts that are held for a time, and divided."""

from collections import deque
from collections.abc import Mapping, Sequence


class Pipe:
    """Holds what goes in for a time, by step."""

    def __init__(self, seconds: float, steps: int) -> None:
        self.seconds = seconds
        self.steps = steps
        self.held = 0.0
        self._queue: deque[tuple[float, int, float]] = deque()

    def put(self, amount: float, step: int, now: float) -> None:
        """Put something in."""
        if amount > 0:
            self.held += amount
            self._queue.append((now + self.seconds, step, amount))

    def ready(self, now: float) -> list[float]:
        """Take out what has been in it long enough, by step."""
        out = [0.0] * self.steps
        while self._queue and self._queue[0][0] <= now + 1e-9:
            _, step, amount = self._queue.popleft()
            self.held -= amount
            out[step] += amount
        if not self._queue:
            self.held = 0.0  # without what sums of fractions leave over
        return out


def shared(
    room: float, wanted: Mapping[str, float], shares: Mapping[str, float]
) -> dict[str, float]:
    """Divide room by shares; nobody gets more than wanted, and what is left goes to the others."""
    granted = dict.fromkeys(wanted, 0.0)
    left = {name for name in wanted if wanted[name] > 0}
    while left and room > 1e-12:
        each = room / sum(shares[name] for name in left)
        content = {name for name in left if wanted[name] - granted[name] <= each * shares[name]}
        for name in content or left:
            more = min(wanted[name] - granted[name], each * shares[name])
            granted[name] += more
            room -= more
        if not content:
            break
        left -= content
    return granted


def proportional(items: float, amounts: Sequence[float]) -> list[float]:
    """Return how much of each amount is taken when so many items are taken of all."""
    total = sum(amounts)
    part = min(1.0, items / total) if total else 0.0
    return [amount * part for amount in amounts]


def part(granted: float, wanted: float) -> float:
    """Return which share of what was wanted was granted."""
    return min(1.0, granted / wanted) if wanted else 1.0
