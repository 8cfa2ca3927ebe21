"""What a shell shows of a job: JSON lines, a progress bar, or plain lines."""

from __future__ import annotations

import shutil
import time
from typing import Protocol, TextIO

from napari_ssl_muscle.jobs.text import format_event, format_progress
from napari_ssl_muscle.learning.events import (
    Event,
    Failed,
    Finished,
    Progress,
    Started,
    Stopped,
    to_line,
)

LINE_EVERY = 10.0
"""Seconds between lines of progress where no bar can be drawn."""

_BAR = 24

PAUSE = 0.2
"""Seconds between two lines of progress for programs: fast steps would fill a disk overnight."""


class Display(Protocol):
    """Takes a job's events; `last` is the latest one."""

    last: Event | None

    def show(self, event: Event) -> None:
        """Show an event."""

    def close(self) -> None:
        """Remove what is drawn on the screen."""


class JsonLines:
    """Every event as one line of JSON, for programs.

    Of progress that follows within `PAUSE` only the latest is printed, before the next event or
    once the time is over. A job goes on when its output is closed; its folder holds the results.
    """

    def __init__(self, stream: TextIO) -> None:
        self.last: Event | None = None
        self.output_closed = False
        self._stream = stream
        self._waiting: Progress | None = None
        self._shown_at = -PAUSE

    def show(self, event: Event) -> None:
        """Print an event."""
        self.last = event
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self._shown_at < PAUSE and event.done < event.total:
                self._waiting = event
                return
            self._shown_at = now
        elif self._waiting is not None:
            self._print(self._waiting)
        self._waiting = None
        self._print(event)

    def close(self) -> None:
        """Do nothing: every line was flushed, and the closing event is the last."""

    def _print(self, event: Event) -> None:
        if self.output_closed:
            return
        try:
            self._stream.write(to_line(event) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.output_closed = True


class TextDisplay:
    """Progress for people: a bar on a terminal, a line every `LINE_EVERY` seconds elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.last: Event | None = None
        self._stream = stream
        self._draws = self._stream.isatty()
        self._started: Started | None = None
        self._bar = ""
        self._shown_at = time.monotonic()
        self._done = 0

    def show(self, event: Event) -> None:
        """Show an event, except how the job ended: that is for the caller to print."""
        self.last = event
        if isinstance(event, Started):
            # Shown with the next line: a request that is refused gets its one sentence only.
            self._started = event
            return
        if isinstance(event, Finished | Stopped | Failed):
            return
        if isinstance(event, Progress):
            self._progress(event)
            return
        text = format_event(event)
        if text is not None:
            self._line(text)

    def close(self) -> None:
        """Remove the bar."""
        self._draw("")

    def _progress(self, event: Progress) -> None:
        if self._draws:
            filled = _BAR * event.done // max(event.total, 1)
            self._draw(f"[{'#' * filled}{'.' * (_BAR - filled)}] {format_progress(event)}")
            return
        now = time.monotonic()
        news = event.done > 0 and event.done != self._done
        if news and (event.done == event.total or now - self._shown_at >= LINE_EVERY):
            self._shown_at, self._done = now, event.done
            self._line(format_progress(event))

    def _line(self, text: str) -> None:
        bar = self._bar
        self._draw("")
        if self._started is not None:
            self._stream.write(f"{format_event(self._started)}\n")
            self._started = None
        self._stream.write(f"{text}\n")
        self._stream.flush()
        self._draw(bar)

    def _draw(self, bar: str) -> None:
        if not self._draws or bar == self._bar:
            return
        bar = bar[: shutil.get_terminal_size().columns - 1]
        self._stream.write("\r" + bar.ljust(len(self._bar)) + ("" if bar else "\r"))
        self._stream.flush()
        self._bar = bar
