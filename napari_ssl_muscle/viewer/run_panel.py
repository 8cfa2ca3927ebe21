"""What every form shows of its work: progress with Stop, words, notes, the device."""

from __future__ import annotations

import contextlib

from magicgui.widgets import Container, Label, ProgressBar, Widget
from psygnal import Signal

from napari_ssl_muscle.jobs.words import duration
from napari_ssl_muscle.learning.events import (
    EpochEnd,
    Event,
    Failed,
    Finished,
    Note,
    Progress,
    Started,
    Stopped,
)
from napari_ssl_muscle.viewer import questions
from napari_ssl_muscle.viewer.bridge import ENDINGS, Work
from napari_ssl_muscle.viewer.parts import expected_device, paragraph, row, small_button

_ENDED = {Finished: "Done.", Stopped: "Stopped.", Failed: "Not done."}


class RunPanel(Container[Widget]):
    """Shows one piece of work at a time.

    Parameters
    ----------
    unit
        What is counted, such as "image" or "step".
    """

    event = Signal(object, description="Every event of the work, in the GUI thread.")
    ended = Signal(object, description="The closing event, once the panel is ready for more.")

    def __init__(self, unit: str) -> None:
        self.quiet = False  # no dialogs: nobody looks, as when a picture is made
        self._unit = unit
        self._work: Work | None = None
        self._notes: list[str] = []
        self.bar = ProgressBar(value=0, max=1)
        self.bar.native.setTextVisible(False)
        self.stop_button = small_button(
            "Stop", "End the work; what was reached until then is kept."
        )
        self.stop_button.changed.connect(self.stop)
        self.status = paragraph()
        self.notes = paragraph()
        self.device = Label(value=f"Computes on: {expected_device()}")
        super().__init__(
            widgets=[row(self.bar, self.stop_button), self.status, self.notes, self.device],
            labels=False,
        )
        self.margins = (0, 0, 0, 0)
        self.native.destroyed.connect(self.abandon)
        self._show_idle()

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        return self._work is not None

    def run(self, work: Work) -> None:
        """Show a piece of work and start it."""
        self._work = work
        self._notes = []
        self.notes.hide()
        self.bar.native.setRange(0, 0)  # Qt's "busy"
        self.bar.enabled = True
        self.stop_button.enabled = True
        self.say("Getting ready …")
        work.bridge.arrived.connect(self._take)
        work.start()

    def stop(self) -> None:
        """Ask the work to end."""
        if self._work is not None:
            self.stop_button.enabled = False
            self.say("Stopping …")
            self._work.stop()

    def abandon(self, *_: object) -> None:
        """End the work without showing it: the window is being closed, or nobody asks any more."""
        work, self._work = self._work, None
        if work is not None:
            with contextlib.suppress(RuntimeError, TypeError):  # it may be gone already
                work.bridge.arrived.disconnect(self._take)
            work.stop()

    def say(self, text: str) -> None:
        """Show a sentence where the progress is told."""
        self.status.value = text
        self.status.visible = bool(text)

    def note(self, text: str, *, warning: bool = True) -> None:
        """Show a sentence that stays until the next start."""
        self._notes.append(f"⚠ {text}" if warning else text)
        self.notes.value = "\n".join(self._notes)
        self.notes.show()

    def _show_idle(self) -> None:
        self.bar.native.setRange(0, 1)
        self.bar.native.setValue(0)
        self.bar.enabled = False
        self.stop_button.enabled = False
        self.status.visible = bool(self.status.value)
        self.notes.visible = bool(self._notes)

    def _take(self, event: Event) -> None:
        stopping = not self.stop_button.enabled
        if isinstance(event, Started):
            self.device.value = f"Computes on: {event.device}"
        elif isinstance(event, Progress):
            self.bar.native.setRange(0, max(event.total, 1))
            self.bar.native.setValue(event.done)
            if not stopping:
                self.say(self._in_words(event))
        elif isinstance(event, EpochEnd):
            if not stopping:
                self.say(epoch_in_words(event))
        elif isinstance(event, Note):
            self.note(event.text, warning=event.warning)
        self.event.emit(event)
        if isinstance(event, ENDINGS):
            self._end(event)

    def _end(self, event: Finished | Stopped | Failed) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.bridge.arrived.disconnect(self._take)
        self.say(event.sentence if isinstance(event, Failed) else _ENDED[type(event)])
        self._show_idle()
        self.ended.emit(event)
        if isinstance(event, Failed) and not self.quiet:
            questions.tell(event.sentence, event.details, self.native.window())

    def _in_words(self, event: Progress) -> str:
        parts = [event.text] if event.text else []
        if event.total:
            parts.append(f"{self._unit} {event.done} of {event.total}")
        if event.seconds_left is not None and event.done < event.total:
            parts.append(f"about {duration(event.seconds_left)} left")
        text = " · ".join(parts)
        return text[:1].upper() + text[1:]


def epoch_in_words(event: EpochEnd) -> str:
    """Return what an epoch brought: its loss and, where it was validated, the Dice."""
    parts = [f"Epoch {event.epoch}"]
    if "train_loss" in event.metrics:
        parts.append(f"loss {event.metrics['train_loss']:.3f}")
    if "dice" in event.metrics:
        best = " (best so far)" if event.best else ""
        parts.append(f"validation Dice {event.metrics['dice']:.3f}{best}")
    return " · ".join(parts)
