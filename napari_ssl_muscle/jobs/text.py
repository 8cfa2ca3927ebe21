"""Events and results in words, for the shell and for the window's log."""

from __future__ import annotations

from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Failed,
    Note,
    Progress,
    Started,
)

FROZEN: dict[str, str] = {
    "none": "Nothing fixed",
    "encoder": "Encoder fixed",
    "decoder": "Decoder fixed",
    "both": "All but last layer fixed",
}
"""Freeze mode → what a person calls it; in the order in which they are compared."""

_SHOWN = 6
"""Figures of an epoch that fit on a line."""


def in_words(event: Event) -> str | None:
    """Return an event as one line of text; None for those that only matter to a program."""
    if isinstance(event, Started):
        return f"{event.action} on {event.device}"
    if isinstance(event, Progress):
        return progress_in_words(event)
    if isinstance(event, EpochEnd):
        shown = list(event.metrics.items())[:_SHOWN]
        figures = ", ".join(f"{name} {value:.4g}" for name, value in shown)
        which = f"{FROZEN.get(event.arm, event.arm)}: " if event.arm else ""
        return f"{which}epoch {event.epoch}, step {event.step}: {figures}{' (best)' * event.best}"
    if isinstance(event, Note):
        return f"Warning: {event.text}" if event.warning else event.text
    if isinstance(event, Failed):
        return event.sentence
    return None


def progress_in_words(event: Progress) -> str:
    """Return how far the work is: "40 of 200 (20 %), about 3 min left, sub-01"."""
    share = f" ({100 * event.done // event.total} %)" if event.total else ""
    parts = [f"{event.done} of {event.total}{share}"]
    if event.seconds_left is not None and event.done < event.total:
        parts.append(f"about {duration(event.seconds_left)} left")
    if event.text:
        parts.append(event.text)
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """Return a time as a person says it: "40 s", "3 min", "2 h 10 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
