"""Corrections on disk within a second or two, as small increments, off the caller's thread.

Labels are saved whole only now and then; in between, every change is appended to a journal by a
thread. After a crash `replay` puts the changes onto the labels as they were last saved. An undo is
simply another change.
"""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_bytes, write_whole
from napari_ssl_muscle.study.unsaved.journal_format import MAGIC, Record, pack, read_records
from napari_ssl_muscle.study.unsaved.journal_writer import SUFFIX, JournalWriter

_Kind = TypeVar("_Kind", bound=np.integer[Any])


@dataclass(frozen=True)
class UnsavedChanges:
    """Changes that are in the journal only.

    So many different voxels in so many strokes; time of the first and the last one.
    """

    voxels: int
    changes: int
    since: datetime.datetime
    until: datetime.datetime


class Journal(JournalWriter):
    """The journal of a folder, one file for each case; parameters as of `JournalWriter`."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        return self._queue(case, kept, values)

    def cases(self) -> list[str]:
        """Return the cases with changes that are in the journal only."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"))
        names = [unquote(path.name.removesuffix(SUFFIX)) for path in files]
        return [name for name in names if self.pending(name) is not None]

    def pending(self, case: str) -> UnsavedChanges | None:
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
        return UnsavedChanges(voxels, len(times), first, last)

    def replay(self, case: str, labels: npt.NDArray[_Kind]) -> npt.NDArray[_Kind]:
        """Return labels with every change of the journal applied; the given ones stay as they are.

        Changes that the labels contain already do no harm.

        Parameters
        ----------
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
                        f"The corrections in {self.path_of(case)} were made on another scan than "
                        f"{case}; open that one."
                    )
                found[record.indices] = record.values
        return found

    def compact(self, case: str, upto: int | None = None) -> None:
        """Forget changes that are in saved labels by now.

        Parameters
        ----------
        upto
            What `mark` gave when the labels were copied to be saved; None forgets all.

        Raises
        ------
        BadInput
            If the folder cannot be written.
        """
        self.flush()
        path = self.path_of(case)
        with self._disk:
            if not path.exists():
                return
            self.mark(case)  # known before records are forgotten: numbers are never used twice
            kept = [r for r in read_records(path) if upto is not None and r.number > upto]
            if file := self._files.pop(case, None):
                file.close()
            if kept:
                write_bytes(path, MAGIC + b"".join(map(pack, kept)))
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
        source, target = other.path_of(other_case), self.path_of(case)
        if not source.exists():
            return
        if target.exists():
            for record in read_records(source):
                self.record(case, record.indices, None, record.values)
            if not self.flush():
                raise BadInput(self.problem or f"Corrections cannot be written to {self.folder}.")
        else:
            write_whole(target, partial(shutil.copyfile, source))
            self._numbers.pop(case, None)
        other.compact(other_case)

    @contextmanager
    def _reading(self, case: str) -> Iterator[Iterator[Record]]:
        """Give the records, all that were queued until now; nothing is written meanwhile."""
        self.flush()
        path = self.path_of(case)
        with self._disk:
            yield read_records(path) if path.exists() else iter(())
