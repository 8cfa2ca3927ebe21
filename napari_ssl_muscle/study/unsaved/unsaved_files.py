"""Files beside a journal: the muscles that its values stand for, and changes that were discarded.

```
journal/CASE.muscles.json        what the values in CASE.journal mean
discarded/TIME/CASE.journal      changes that nobody wanted back, with their muscles, for some days
```
"""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import time
from pathlib import Path
from urllib.parse import quote

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_json, write_whole
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.study.unsaved.journal import Journal

DAYS_KEPT = 14
"""Discarded changes are deleted after so many days."""

_MUSCLES = ".muscles.json"


class UnsavedFiles:
    """What lies beside one case's journal.

    Parameters
    ----------
    journal
        The journal of the study or draft.
    case
        The scan's name in it.
    """

    def __init__(self, journal: Journal, case: str) -> None:
        self._journal, self._case = journal, case
        self._written: MuscleTable | None = None

    def read_table(self) -> MuscleTable | None:
        """Return the muscles of the journal's values; None where they were not written."""
        return _read_table(self._table_in(self._journal.folder))

    def write_table(self, table: MuscleTable) -> None:
        """Note the muscles of the journal's values; BadInput if that cannot be written."""
        if table != self._written:
            write_json(self._table_in(self._journal.folder), table.to_rows())
            self._written = table

    def discard(self, upto: int) -> None:
        """Move the changes up to a mark to the discarded ones, from where they can come back.

        Raises
        ------
        BadInput
            If they cannot be copied; then they stay where they are.
        """
        self._journal.flush()
        source = self._journal.path_of(self._case)
        if not source.exists():
            return
        now = datetime.datetime.now().astimezone()
        place = self._discarded / f"{now:%Y%m%d-%H%M%S-%f}"
        write_whole(place / source.name, lambda part: shutil.copyfile(source, part))
        if (table := self.read_table()) is not None:
            write_json(self._table_in(place), table.to_rows())
        self._journal.compact(self._case, upto)

    def discarded(self) -> Path | None:
        """Return where the changes are that were discarded last; None if there are none."""
        name = self._journal.path_of(self._case).name
        with contextlib.suppress(OSError):
            return max(
                (place for place in self._discarded.iterdir() if (place / name).is_file()),
                default=None,
            )
        return None

    def bring_back(self) -> MuscleTable | None:
        """Put the changes that were discarded last at the end of the journal; return their muscles.

        Raises
        ------
        BadInput
            If there are none, or they cannot be read or written.
        """
        place = self.discarded()
        if place is None:
            raise BadInput("No discarded changes of this scan are left.")
        table = _read_table(self._table_in(place))
        with Journal(place) as old:
            self._journal.take_over(self._case, old, self._case)
        shutil.rmtree(place, ignore_errors=True)
        return table

    def delete_old(self) -> None:
        """Delete what was discarded more than `DAYS_KEPT` days ago."""
        limit = time.time() - DAYS_KEPT * 86400
        with contextlib.suppress(OSError):
            for place in list(self._discarded.iterdir()):
                if place.stat().st_mtime < limit:
                    shutil.rmtree(place, ignore_errors=True)

    @property
    def _discarded(self) -> Path:
        return self._journal.folder.parent / "discarded"

    def _table_in(self, folder: Path) -> Path:
        return folder / f"{quote(self._case, safe=' ')}{_MUSCLES}"


def _read_table(path: Path) -> MuscleTable | None:
    try:
        return MuscleTable.from_rows(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, BadInput):
        return None
