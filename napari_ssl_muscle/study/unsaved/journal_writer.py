"""The thread that appends the records of a journal to its files."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_bytes
from napari_ssl_muscle.study.unsaved.journal_format import (
    MAGIC,
    Record,
    hides_records,
    pack,
    whole_length,
)

SUFFIX = ".journal"

CAPACITY = 256 * 2**20
"""Bytes of changes that may wait in memory; a caller who is that far ahead waits."""


class JournalWriter:
    """Appends records to the files of a folder, one for each case, off the caller's thread.

    Parameters
    ----------
    folder
        Made at the first record.
    on_problem
        Called with a sentence, on the journal's thread, when changes cannot be written. They wait
        in memory and are tried again.
    sync_every
        Seconds between two syncs of the files to the disk. Only a loss of power can take what lies
        between; a killed process loses nothing that was written.
    capacity
        Bytes that may wait in memory.

    Attributes
    ----------
    problem
        The sentence while changes cannot be written, else None.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_problem: Callable[[str], None] | None = None,
        sync_every: float = 1.0,
        capacity: int = CAPACITY,
    ) -> None:
        self.folder = Path(folder)
        self.problem: str | None = None
        self._on_problem = on_problem
        self._sync_every = sync_every
        self._capacity = capacity
        self._changed = threading.Condition()
        self._disk = threading.Lock()
        self._waiting: deque[tuple[str, Record]] = deque()
        self._bytes = 0
        # Counted from the start of this journal: changes queued, written, and synced to the disk.
        self._queued = self._written = self._synced = 0
        self._flush_target = 0  # how many changes a caller of flush waits for
        self._lost = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._numbers: dict[str, int] = {}
        self._files: dict[str, FileIO] = {}
        self._last_sync = time.monotonic()

    def mark(self, case: str) -> int:
        """Return the number of the latest change of a case; 0 before the first."""
        if case not in self._numbers:
            path = self.path_of(case)
            self._numbers[case] = whole_length(path)[1] if path.exists() else 0
        return self._numbers[case]

    def flush(self) -> bool:
        """Wait until everything recorded so far is synced to the disk; false if that cannot be."""
        with self._changed:
            target = self._queued
            self._flush_target = max(self._flush_target, target)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._synced >= target or self.problem is not None)
            return self._synced >= target and not self._lost

    def close(self) -> bool:
        """Write what is waiting and end the thread; false if something could not be written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        with self._disk:
            for file in self._files.values():
                file.close()
            self._files.clear()
        return self._synced >= self._queued and not self._lost

    def path_of(self, case: str) -> Path:
        """Return the file of a case's changes."""
        return self.folder / f"{quote(case, safe=' ')}{SUFFIX}"

    def _queue(
        self, case: str, indices: tuple[npt.NDArray[np.int32], ...], values: npt.NDArray[np.int32]
    ) -> int:
        """Queue a record and return its number; waits while the queue is full."""
        self.mark(case)  # reads the file the first time
        with self._changed:
            if self._closing:
                raise RuntimeError("the journal is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._bytes < self._capacity or self.problem is not None)
            self._numbers[case] += 1
            record = Record(self._numbers[case], time.time(), indices, values)
            if self._bytes < self._capacity:
                self._waiting.append((case, record))
                self._bytes += record.nbytes
                self._queued += 1
                self._changed.notify_all()
            else:  # a disk that takes nothing: waiting would freeze the window for good
                self._lost = True
        return record.number

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_work, self._seconds_to_sync())
                if self._closing and self._synced == self._queued:
                    return
                entry = self._waiting[0] if self._waiting else None
                last = len(self._waiting) <= 1
                flushing = self._synced < self._flush_target <= self._written + (entry is not None)
                sync = (self._closing and last) or flushing or self._seconds_to_sync() == 0
                final = self._closing
            problem = self._write(entry, sync)
            with self._changed:
                is_new = problem is not None and self.problem is None
                self.problem = problem
                if problem is None:
                    if entry is not None:
                        self._waiting.popleft()
                        self._bytes -= entry[1].nbytes
                        self._written += 1
                    if sync:
                        self._synced = self._written
                self._changed.notify_all()
                if problem is not None and final:  # a try that began before deserves another
                    return
            if problem is not None and is_new and self._on_problem is not None:
                self._on_problem(problem)

    def _has_work(self) -> bool:
        if self.problem is not None:
            return self._closing  # else the next try comes after a while
        return bool(self._waiting) or self._closing or self._flush_target > self._synced

    def _seconds_to_sync(self) -> float | None:
        """Return the seconds until the next sync is due; None if there is nothing to sync."""
        if self._synced == self._queued:
            return None
        return max(0.0, self._last_sync + self._sync_every - time.monotonic())

    def _write(self, entry: tuple[str, Record] | None, sync: bool) -> str | None:
        """Append a record and perhaps sync; return a sentence if the disk refuses."""
        data = b"" if entry is None else pack(entry[1])
        try:
            with self._disk:
                if entry is not None:
                    self._append(entry[0], data)
                if sync:
                    for file in self._files.values():
                        os.fsync(file.fileno())
        except BadInput as error:
            return str(error)
        except OSError as error:
            return (
                f"Corrections cannot be written to {self.folder}: {error.strerror or error}; "
                "free some space, or save the labels somewhere else."
            )
        finally:
            if sync or self.problem is not None:
                self._last_sync = time.monotonic()
        return None

    def _append(self, case: str, data: bytes) -> None:
        if case not in self._files:
            # Not the folders above: those of a study on a disk that was taken away must not come
            # into being again on the disk below.
            self.folder.mkdir(exist_ok=True)
            path = self.path_of(case)
            path.touch()
            length = whole_length(path)[0]
            self._set_aside(path, length)
            file = FileIO(path, "r+b")
            file.truncate(length)  # what a crash cut short would hide all that comes after it
            file.seek(length)
            self._files[case] = file
            if length == 0:
                data = MAGIC + data
        file = self._files[case]
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._files.pop(case).close()  # opened again, it loses the half record
            raise

    def _set_aside(self, path: Path, length: int) -> None:
        """Keep a copy of what comes after the last whole record, if it is more than a cut one.

        A record that was damaged on the disk hides whole ones behind it, which somebody may still
        want; what a crash cut short is no record.
        """
        with path.open("rb") as file:
            file.seek(length)
            tail = file.read()
        if hides_records(tail):
            copy = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            write_bytes(copy, tail)
            if self._on_problem is not None:
                self._on_problem(
                    f"The journal {path} is damaged; what came after the damage was copied to "
                    f"{copy.name} beside it, and corrections go on being kept."
                )
