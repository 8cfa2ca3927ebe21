"""One stream of events out of several trainings that follow each other."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ssl_muscle.jobs.text import FROZEN
from napari_ssl_muscle.learning.events import (
    Emit,
    EpochEnd,
    Event,
    Failed,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)


class JoinedEvents:
    """Tells the events of the trainings of several freeze modes as those of one work.

    Progress counts the steps of all of them, rounds name their mode, and what is said of each of
    them before its first step is said once.

    Parameters
    ----------
    emit
        Told every event but the closing ones.
    modes
        In the order in which they train.

    Attributes
    ----------
    end
        The closing event of the training that was heard last; None while it goes on.
    """

    def __init__(self, emit: Emit, modes: Sequence[str]) -> None:
        self.end: Event | None = None
        self._emit = emit
        self._modes = list(modes)
        self._index = 0
        self._steps: int | None = None
        self._training = False
        self._started = False
        self._said: set[str] = set()
        self._per_step = 0.0

    def begin(self, mode: str, steps: int | None = None) -> None:
        """Take what comes from now on as a mode's.

        Parameters
        ----------
        mode
            The mode.
        steps
            Of each training, where that is known already.
        """
        self._index = self._modes.index(mode)
        self._steps = steps or self._steps
        self._training = False
        self.end = None

    def hear(self, event: Event) -> None:
        """Take an event of the mode's training."""
        if isinstance(event, Started):
            self._training = True
            if not self._started:
                self._started = True
                self._emit(event.model_copy(update={"action": "comparing freeze modes"}))
        elif isinstance(event, Progress):
            self._emit(self._overall(event))
        elif isinstance(event, EpochEnd):
            self._emit(event.model_copy(update={"arm": self._mode}))
        elif isinstance(event, Note):
            if self._training:
                text = f"{FROZEN[self._mode]}: {event.text}"
                self._emit(event.model_copy(update={"text": text}))
            elif event.text not in self._said:
                self._said.add(event.text)
                self._emit(event)
        elif isinstance(event, Finished | Stopped | Failed):
            self.end = event
        else:
            self._emit(event)

    @property
    def _mode(self) -> str:
        return self._modes[self._index]

    def _overall(self, event: Progress) -> Progress:
        count = len(self._modes)
        text = f"{FROZEN[self._mode]} ({self._index + 1} of {count})"
        if not self._training:  # it reads its scans
            if event.text:
                text = f"{text}: {event.text}"
            if self._steps is None:
                return event.model_copy(update={"text": text})
            before = self._index * self._steps
            return Progress(done=before, total=count * self._steps, text=text)
        self._steps = event.total
        left = event.seconds_left
        if left is not None:
            # The others are taken to be as slow as this one: they differ by less than twice.
            rest = event.total - event.done
            if rest:
                self._per_step = left / rest
            left += (count - self._index - 1) * self._steps * self._per_step
        return Progress(
            done=self._index * self._steps + event.done,
            total=count * self._steps,
            text=text,
            seconds_left=left,
        )
