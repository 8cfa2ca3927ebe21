"""Keeping a training to the minutes that it was given, whatever its batches and the load."""

from __future__ import annotations

from dataclasses import dataclass

TRIAL = 0.1
"""Share of the time after which no more steps are tried beforehand."""

LOOK = 0.02
"""Share of the time between two looks at the clock."""

OFF = 0.05
"""Share of the steps that are left by which the plan may be wrong before it is changed: small
differences would only make the learning rate restless."""


@dataclass
class Clock:
    """How many steps fit into the time that is left, from how long the last ones took.

    Parameters
    ----------
    seconds
        For steps and validations, the trial before them included.
    interval
        Steps between two validations.
    most
        Steps that the training may have at most; None for no limit.
    validation
        Seconds that a validation takes, with what is written then.
    """

    seconds: float
    interval: int
    most: int | None = None
    validation: float = 0.0

    def __post_init__(self) -> None:
        self._step = 0
        self._at = 0.0
        self._validating = 0.0

    def start(self, step: int, elapsed: float) -> None:
        """Begin to time steps, of which `step` are done after `elapsed` seconds."""
        self._step, self._at, self._validating = step, elapsed, 0.0

    def validated(self, seconds: float) -> None:
        """Take how long a validation took."""
        self.validation = seconds
        self._validating += seconds

    def plan(self, step: int, elapsed: float, step_seconds: float) -> int:
        """Return the steps of the whole training if each takes so many seconds."""
        left = self.seconds - elapsed - self.validation  # one validation is at the end
        each = max(step_seconds, 1e-6) + self.validation / self.interval
        total = step + max(0, int(left / each))
        return min(total, self.most) if self.most is not None else total

    def look(self, step: int, elapsed: float, total: int) -> int:
        """Return the steps of the whole training, `total` unless that would miss the end.

        Parameters
        ----------
        step
            Steps that are done.
        elapsed
            Seconds since the beginning, the trial included.
        total
            As planned before.
        """
        over = elapsed + self.validation >= self.seconds
        if step <= self._step or (elapsed - self._at < LOOK * self.seconds and not over):
            return total
        each = (elapsed - self._at - self._validating) / (step - self._step)
        self.start(step, elapsed)
        planned = self.plan(step, elapsed, each)
        return planned if abs(planned - total) > OFF * (total - step) else total
