"""Runs the window's event loop, and notes the longest time that it did not come round."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

from qtpy.QtCore import QEventLoop, QTimer

TICK = 0.005
"""Seconds between two looks at the clock."""

PATIENCE = 600.0
"""Seconds to wait for one thing."""


def run_until(
    ready: Callable[[], bool],
    begin: Callable[[], None] | None = None,
    each: Callable[[], None] | None = None,
    every: float = 0.1,
) -> tuple[float, float]:
    """Run the event loop until something is ready.

    Parameters
    ----------
    ready
        Asked at every tick.
    begin
        Done first, and counted.
    each
        Done again and again in the event loop.
    every
        Seconds between two of these.

    Returns
    -------
    Seconds in all, and the longest time without a reaction.
    """
    loop = QEventLoop()
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if ready() or ticks[-1] - began > PATIENCE:
            loop.quit()

    clock, hand = QTimer(), QTimer()
    clock.timeout.connect(tick)
    clock.start(int(TICK * 1000))
    if each is not None:
        hand.timeout.connect(each)
        hand.start(int(every * 1000))
    began = time.monotonic()
    ticks.append(began)
    if begin is not None:
        begin()
    loop.exec()
    # Once more round the loop: what has just come is drawn then.
    QTimer.singleShot(0, lambda: QTimer.singleShot(0, loop.quit))
    loop.exec()
    end = time.monotonic()
    clock.stop()
    hand.stop()
    ticks.append(end)
    if not ready():
        raise SystemExit("waited in vain")
    return end - began, max(after - before for before, after in pairwise(ticks))


def settle(seconds: float) -> None:
    """Let the window finish what it has left to do."""
    loop = QEventLoop()
    QTimer.singleShot(int(seconds * 1000), loop.quit)
    loop.exec()
