"""How a training learns, as figures and as curves; a model without a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from napari_ssl_muscle.learning.events import EpochEnd, Progress
from napari_ssl_muscle.viewer.widgets.plot import Paint

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOSS = "train_loss"
CHECKS = {"dice": "Validation Dice", "masked_error": "Validation error"}
"""Figure of the validation that selects the weights → what a person calls it."""

MOST_LIVE = 500
"""Points of the live loss; when there are more, every second one goes."""

ORANGE, BLUE = "#E69F00", "#56B4E9"
"""Of Okabe and Ito's colours, which the colour-blind tell apart."""


@dataclass(frozen=True)
class CurveSnapshot:
    """What a plot shows: step → value.

    Attributes
    ----------
    live, loss
        The training loss: of the last moment, and the mean of each round.
    check
        The figure of the validation images, and its name; both empty without any.
    best
        Steps at which the weights were the best so far.
    """

    live: Mapping[int, float]
    loss: Mapping[int, float]
    check: Mapping[int, float]
    name: str
    best: frozenset[int]


class Curves:
    """The figures that a training has emitted so far."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything: another training begins."""
        self._live: dict[int, float] = {}
        self._loss: dict[int, float] = {}
        self._check: dict[int, float] = {}
        self._name = ""
        self._best: set[int] = set()

    def add_live(self, event: Progress) -> bool:
        """Take the loss of this moment, if there is one; return whether there is a line to draw."""
        if event.loss is None:
            return False
        self._live[event.done] = event.loss
        if len(self._live) > MOST_LIVE:
            self._live = dict(list(self._live.items())[::2])
        return self.worth_drawing

    def add(self, event: EpochEnd) -> bool:
        """Take what a round of training brought.

        Returns
        -------
        bool
            Whether there is something to draw: two points of the one training that is watched.
        """
        if event.arm:  # of several trainings that are compared, and drawn elsewhere
            return False
        if LOSS in event.metrics:
            self._loss[event.step] = event.metrics[LOSS]
        name = next((name for name in CHECKS if name in event.metrics), None)
        if name is not None:
            self._name = CHECKS[name]
            self._check[event.step] = event.metrics[name]
            if event.best:
                self._best.add(event.step)
        return self.worth_drawing

    @property
    def worth_drawing(self) -> bool:
        """Whether there are at least two points."""
        return len(self._loss) > 1 or len(self._live) > 1

    def drawn(self) -> CurveSnapshot:
        """Return the figures as they are now; later ones do not change them."""
        loss, check = dict(sorted(self._loss.items())), dict(sorted(self._check.items()))
        return CurveSnapshot(
            dict(sorted(self._live.items())), loss, check, self._name, frozenset(self._best)
        )

    def paint(self) -> Paint:
        """Return what paints the figures as they are now."""
        return partial(draw, drawn=self.drawn())


def draw(figure: Figure, drawn: CurveSnapshot) -> None:
    """Draw the training loss (left axis) and the validation figure (right axis) over steps."""
    left = figure.subplots()
    left.set_xlabel("Step")
    left.locator_params(axis="x", integer=True)
    left.set_ylabel("Training loss", color=ORANGE)
    # Thin and pale where it jumps from moment to moment; the mean of a round is in its middle.
    left.plot(list(drawn.live), list(drawn.live.values()), color=ORANGE, linewidth=0.8, alpha=0.6)
    ends = [min(drawn.live, default=0), *drawn.loss]
    middles = [(begin + end) / 2 for begin, end in pairwise(ends)]
    left.plot(middles, list(drawn.loss.values()), color=ORANGE, linewidth=1.8)
    left.tick_params(axis="y", colors=ORANGE)
    if not drawn.check:
        return
    right = left.twinx()
    right.spines["right"].set_visible(True)
    right.set_ylabel(drawn.name, color=BLUE)
    right.tick_params(axis="y", colors=BLUE)
    steps, values = list(drawn.check), list(drawn.check.values())
    # Not by colour alone: this one has points.
    right.plot(steps, values, color=BLUE, linewidth=1.5, marker="o", markersize=2.5)
    if drawn.name == CHECKS["dice"]:
        right.set_ylim(0, 1)
    if drawn.best:
        best = max(drawn.best)
        right.plot(best, drawn.check[best], color=BLUE, marker="*", markersize=10)


def format_epoch(event: EpochEnd) -> str:
    """Return what a round brought: its loss and, where it was validated, how good it is."""
    parts = [f"Epoch {event.epoch}"]
    metrics = event.metrics
    if LOSS in metrics:
        parts.append(f"loss {metrics[LOSS]:.3f}")
    if "dice" in metrics:
        parts.append(f"validation Dice {metrics['dice']:.3f}")
    elif "masked_error" in metrics:
        parts.append(format_reconstruction_error(metrics))
    text = " · ".join(parts)
    return f"{text} (best so far)" if event.best else text


def format_reconstruction_error(metrics: Mapping[str, float]) -> str:
    """Return a pretext's error, beside that of a network that has learned nothing."""
    text = f"error inside the masks of {metrics['masked_error']:.3f}"
    constant = metrics.get("constant_error")
    return text if constant is None else f"{text} (a plain grey: {constant:.3f})"
