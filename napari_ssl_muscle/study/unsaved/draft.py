"""A draft: the corrections of a scan that is in no study yet, in a folder in the user's home."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from napari_ssl_muscle.files import write_json, write_text
from napari_ssl_muscle.paths import drafts_folder
from napari_ssl_muscle.study.lock import StudyLock
from napari_ssl_muscle.study.slice_states import STATES, SliceState
from napari_ssl_muscle.study.study_folder import is_study

CASE = "labels"
"""What the scan is called in the draft's journal."""

_STATES = "states.json"
_STUDY = "study.txt"


class Draft:
    """The draft of one scan.

    Parameters
    ----------
    key
        Name of its folder, that no other scan has.

    Attributes
    ----------
    folder, journal_folder
        Made when something is first written.
    """

    def __init__(self, key: str) -> None:
        self.folder = drafts_folder() / key
        self.journal_folder = self.folder / "journal"
        self._lock: StudyLock | None = None

    def lock(self) -> None:
        """Take the draft for this window alone, if it has not been taken.

        Raises
        ------
        FolderLocked
            If another window has it.
        BadInput, OSError
            If it cannot be written to.
        """
        if self._lock is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = StudyLock(self.folder)

    @property
    def is_locked(self) -> bool:
        """Whether this window has the draft."""
        return self._lock is not None

    def release(self) -> None:
        """Let another window have the draft."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def read_states(self) -> dict[int, SliceState]:
        """Return z → state; empty where the file is missing or damaged."""
        try:
            content = json.loads((self.folder / _STATES).read_text(encoding="utf-8"))
            return {int(z): state for z, state in content.items() if state in STATES}
        except (OSError, ValueError, AttributeError):
            return {}  # a draft's states are a convenience; its journal is what counts

    def write_states(self, states: Mapping[int, SliceState]) -> None:
        """Write z → state; BadInput if that cannot be."""
        write_json(self.folder / _STATES, {str(z): state for z, state in sorted(states.items())})

    def forget_states(self) -> None:
        """Drop the states, once a study has them."""
        (self.folder / _STATES).unlink(missing_ok=True)

    def study_folder(self) -> Path | None:
        """Return where the scan's study was made, if not in the usual place and still there."""
        with contextlib.suppress(OSError):
            folder = Path((self.folder / _STUDY).read_text(encoding="utf-8"))
            if is_study(folder):
                return folder
        return None

    def remember_study(self, folder: Path) -> None:
        """Note where the scan's study was made; BadInput if that cannot be written."""
        write_text(self.folder / _STUDY, str(folder))
