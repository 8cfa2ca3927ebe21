"""Corrections on disk within a second or two, as small increments, off the caller's thread.

Labels are saved whole only now and then; in between, every change is appended to a journal by a
thread. After a crash `replay` puts the changes onto the labels as they were last saved. An undo is
simply another change.
"""

from __future__ import annotations

import datetime
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.study.journal_format import (
    MAGIC,
    Record,
    pack,
    read_records,
    whole_length,
)

SUFFIX = ".journal"

ROOM = 256 * 2**20
"""Bytes of changes that may wait in memory; a caller who is that far ahead waits."""

_Kind = TypeVar("_Kind", bound=np.integer[Any])


@dataclass(frozen=True)
class Pending:
    """Changes that are in the journal only.

    Attributes
    ----------
    voxels
        How many different voxels were changed.
    changes
        In how many strokes.
    since, until
        Time of the first and the last one.
    """

    voxels: int
    changes: int
    since: datetime.datetime
    until: datetime.datetime


class Journal:
    """The journal of a folder, one file for each case.

    Parameters
    ----------
    folder
        Made at the first record.
    on_problem
        Told a sentence, on the journal's thread, when changes cannot be written. They wait in
        memory and are tried again.
    sync_every
        Seconds between two demands that the disk really keeps what it was given. Only a loss of
        power can take what lies between; a killed process loses nothing that was written.
    room
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
        room: int = ROOM,
    ) -> None:
        self.folder = Path(folder)
        self.problem: str | None = None
        self._on_problem = on_problem
        self._sync_every = sync_every
        self._room = room
        self._changed = threading.Condition()
        self._disk = threading.Lock()
        self._waiting: deque[tuple[str, Record]] = deque()
        self._bytes = 0
        # Counted from the start of this journal: changes queued, written, and surely on disk.
        self._queued = self._written = self._safe = 0
        self._wanted = 0  # what somebody waits for to be safe
        self._lost = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._numbers: dict[str, int] = {}
        self._files: dict[str, FileIO] = {}
        self._asked = time.monotonic()

    # --- writing

    def record(
        self,
        case: str,
        indices: tuple[npt.NDArray[np.integer[Any]], ...],
        old: npt.ArrayLike | None,
        new: npt.ArrayLike,
    ) -> int:
        """Queue a change; returns at once.

        The arrays are kept until they are written and must not be changed by then.

        Parameters
        ----------
        case
            Whose labels changed.
        indices
            One array of whole numbers for each axis, as of `numpy.nonzero`.
        old, new
            Values of these voxels before and after, or one for all of them. Voxels that did not
            change are left out; without `old`, all did.

        Returns
        -------
        int
            The number of the change, for `compact`; that of the change before if this is none.
        """
        where = tuple(np.asarray(axis) for axis in np.broadcast_arrays(*indices))
        after = np.broadcast_to(np.asarray(new), where[0].shape)
        if old is not None:
            differs = np.broadcast_to(np.asarray(old), after.shape) != after
            if not differs.all():
                where, after = tuple(axis[differs] for axis in where), after[differs]
        if not after.size:
            return self.mark(case)
        kept = tuple(axis.astype(np.int32, copy=False) for axis in where)
        values = after.astype(np.int32)
        if (values == values[0]).all():
            values = values[:1]
        self.mark(case)  # reads the file the first time
        with self._changed:
            if self._closing:
                raise RuntimeError("the journal is closed")
            self._start()
            self._changed.wait_for(lambda: self._bytes < self._room or self.problem is not None)
            self._numbers[case] += 1
            record = Record(self._numbers[case], time.time(), kept, values)
            if self._bytes < self._room:
                self._waiting.append((case, record))
                self._bytes += record.nbytes
                self._queued += 1
                self._changed.notify_all()
            else:  # a disk that takes nothing: waiting would freeze the window for good
                self._lost = True
        return record.number

    def mark(self, case: str) -> int:
        """Return the number of the latest change of a case; 0 before the first."""
        if case not in self._numbers:
            path = self._path(case)
            self._numbers[case] = whole_length(path)[1] if path.exists() else 0
        return self._numbers[case]

    def flush(self) -> bool:
        """Wait until everything recorded so far is safely on disk; false if that cannot be."""
        with self._changed:
            target = self._queued
            self._wanted = max(self._wanted, target)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._safe >= target or self.problem is not None)
            return self._safe >= target and not self._lost

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
        return self._safe >= self._queued and not self._lost

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- reading

    def cases(self) -> list[str]:
        """Return the cases with changes that are in the journal only."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"))
        names = [unquote(path.name.removesuffix(SUFFIX)) for path in files]
        return [name for name in names if self.pending(name) is not None]

    def pending(self, case: str) -> Pending | None:
        """Return what there is to offer back; None if nothing.

        Raises
        ------
        BadInput
            If the journal cannot be read.
        """
        places: list[npt.NDArray[np.int32]] = []
        times: list[float] = []
        with self._reading(case) as records:
            for record in records:
                places.append(np.stack(record.indices, axis=1))
                times.append(record.time)
                if sum(map(len, places[1:])) > 4_000_000:  # keeps memory near that of one volume
                    places = [np.unique(np.concatenate(places), axis=0)]
        if not times:
            return None
        voxels = len(np.unique(np.concatenate(places), axis=0))
        first, last = (
            datetime.datetime.fromtimestamp(t).astimezone() for t in (min(times), max(times))
        )
        return Pending(voxels, len(times), first, last)

    def replay(self, case: str, labels: npt.NDArray[_Kind]) -> npt.NDArray[_Kind]:
        """Return labels with every change of the journal applied; the given ones stay as they are.

        Changes that the labels contain already do no harm.

        Parameters
        ----------
        case
            Whose changes.
        labels
            As they were last saved (all 0 if they never were), canonical axes.

        Raises
        ------
        BadInput
            If the changes do not fit the labels, or the journal cannot be read.
        """
        found = labels.copy()
        highest = np.iinfo(found.dtype).max
        with self._reading(case) as records:
            for record in records:
                outside = len(record.indices) != found.ndim or any(
                    axis.min() < 0 or axis.max() >= length
                    for axis, length in zip(record.indices, found.shape, strict=False)
                )
                if outside or record.values.max() > highest:
                    raise BadInput(
                        f"The corrections in {self._path(case)} were made on another scan than "
                        f"{case}; open that one."
                    )
                found[record.indices] = record.values
        return found

    # --- once labels were saved

    def compact(self, case: str, upto: int | None = None) -> None:
        """Forget changes that are in saved labels by now.

        Parameters
        ----------
        case
            Whose changes.
        upto
            What `mark` gave when the labels were copied to be saved; None forgets all.

        Raises
        ------
        BadInput
            If the folder cannot be written.
        """
        self.flush()
        path = self._path(case)
        with self._disk:
            if not path.exists():
                return
            self.mark(case)  # known before records are forgotten: numbers are never used twice
            kept = [r for r in read_records(path) if upto is not None and r.number > upto]
            if file := self._files.pop(case, None):
                file.close()
            if kept:
                write_whole(path, lambda part: _write(part, kept))
            else:
                path.unlink()

    def take_over(self, case: str, other: Journal, other_case: str) -> None:
        """Move the changes of a case of another journal to the end of one here.

        A process that is killed meanwhile leaves them in the other journal, from which they can be
        taken over again.

        Raises
        ------
        BadInput
            If they cannot be read or written.
        """
        other.flush()
        source, target = other._path(other_case), self._path(case)
        if not source.exists():
            return
        if target.exists():
            for record in read_records(source):
                self.record(case, record.indices, None, record.values)
            if not self.flush():
                raise BadInput(self.problem or f"Corrections cannot be written to {self.folder}.")
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, partial(_copy, source))
            self._numbers.pop(case, None)
        other.compact(other_case)

    # --- inside

    def _path(self, case: str) -> Path:
        return self.folder / f"{quote(case, safe=' ')}{SUFFIX}"

    @contextmanager
    def _reading(self, case: str) -> Iterator[Iterator[Record]]:
        """Give the records, all that were queued until now; nothing is written meanwhile."""
        self.flush()
        path = self._path(case)
        with self._disk:
            yield read_records(path) if path.exists() else iter(())

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._is_urgent, self._patience())
                if self._closing and self._safe == self._queued:
                    return
                entry = self._waiting[0] if self._waiting else None
                last = len(self._waiting) <= 1
                asked_for = self._safe < self._wanted <= self._written + (entry is not None)
                sync = (self._closing and last) or asked_for or self._patience() == 0
                final = self._closing
            trouble = self._try(entry, sync)
            with self._changed:
                is_new = trouble is not None and self.problem is None
                self.problem = trouble
                if trouble is None:
                    if entry is not None:
                        self._waiting.popleft()
                        self._bytes -= entry[1].nbytes
                        self._written += 1
                    if sync:
                        self._safe = self._written
                self._changed.notify_all()
                if trouble is not None and final:  # a try that began before deserves another
                    return
            if trouble is not None and is_new and self._on_problem is not None:
                self._on_problem(trouble)

    def _is_urgent(self) -> bool:
        if self.problem is not None:
            return self._closing  # else the next try comes after a while
        return bool(self._waiting) or self._closing or self._wanted > self._safe

    def _patience(self) -> float | None:
        """Return the seconds until the disk is asked again; None for never."""
        if self._safe == self._queued:
            return None
        return max(0.0, self._asked + self._sync_every - time.monotonic())

    def _try(self, entry: tuple[str, Record] | None, sync: bool) -> str | None:
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
                self._asked = time.monotonic()
        return None

    def _append(self, case: str, data: bytes) -> None:
        if case not in self._files:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(case)
            with path.open("ab"):
                pass
            length = whole_length(path)[0]
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


def _copy(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _write(path: Path, records: list[Record]) -> None:
    path.write_bytes(MAGIC + b"".join(pack(record) for record in records))
