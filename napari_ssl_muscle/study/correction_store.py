"""Where the corrections of a scan are kept: in a draft at first, in a study once one is accepted.

A draft is a small folder in the user's home, so that nothing needs to be decided before drawing.
The study is made, or joined, beside the scan at the first acceptance.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_whole
from napari_ssl_muscle.paths import studies_folder
from napari_ssl_muscle.scans.naming import NIFTI, as_file_name
from napari_ssl_muscle.study.draft import CASE, Draft
from napari_ssl_muscle.study.journal import Journal, UnsavedChanges
from napari_ssl_muscle.study.lock import FolderLocked
from napari_ssl_muscle.study.scan_reference import fingerprint
from napari_ssl_muscle.study.slice_states import SliceState
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.study_folder import is_study

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.scans.volume import Scan

STUDY_NAME = "muscle-study"

_studies: dict[Path, tuple[Study, int]] = {}
"""Studies that are open in this program, and by how many scans: only one may hold the lock."""

_open_scans: set[tuple[Path, str]] = set()
"""Scans (study, case) with a store: two journals must not write one file."""


class CorrectionStore:
    """Stores states and changes of one scan's labels.

    Parameters
    ----------
    scan
        Its file; None for a sample that lives in memory only.
    image
        Its voxels, `(z, y, x)`; a scan without a file is known by them.

    Attributes
    ----------
    study
        The study that the scan is in; None as long as there is only a draft.
    case
        The scan's name in study and journal.
    problem
        A sentence if nothing can be kept, else None.
    """

    def __init__(
        self, name: str, geometry: Geometry, scan: Scan | None, image: npt.NDArray[Any]
    ) -> None:
        self.name = name
        self.geometry = geometry
        self.scan = scan
        self.study: Study | None = None
        self.case = CASE
        self.problem: str | None = None
        self._image = image
        self._key = self._unique_name()
        self._draft = Draft(self._key)
        self._states: dict[int, SliceState] = {}
        self._saving = threading.Lock()
        self._journal: Journal | None = None
        place = self.proposed_place()
        try:
            if is_study(place) and (case := self._case_in(place)) is not None:
                study = _acquire(place)
                try:
                    self._claim(study, case)
                except BaseException:
                    _release(study.folder)
                    raise
                self._enter(study, case)
                self._merge_draft()
                return
            self._journal = Journal(self._draft.journal_folder, on_problem=self._set_problem)
            if self._draft.folder.is_dir():
                self._lock_draft()
                self._states = self._draft.read_states()
        except BadInput as problem:
            self._disable(str(problem))

    def proposed_place(self) -> Path:
        """Return the study's folder, or the one that will be proposed for it."""
        if self.study is not None:
            return self.study.folder
        if (remembered := self._draft.study_folder()) is not None:
            return remembered
        if self.scan is not None:
            return self.scan.path.parent / STUDY_NAME
        return studies_folder() / self._key

    def states(self) -> dict[int, SliceState]:
        """Return z → state; slices that are not there are unseen."""
        return dict(self._states) if self.study is None else self.study.states(self.case)

    def set_states(self, states: Mapping[int, SliceState]) -> None:
        """Set and write the states of some slices.

        Raises
        ------
        BadInput
            If they cannot be written.
        """
        if self.study is not None:
            self.study.set_states(self.case, states)
            return
        before = dict(self._states)
        self._states.update(states)
        if self.problem is None and self._states != before and self._lock_draft():
            self._draft.write_states(self._states)

    def record(self, where: tuple[npt.NDArray[Any], ...], new: npt.NDArray[Any]) -> None:
        """Queue changed voxels for the journal's thread; nothing is done if there is no journal."""
        if self._journal is not None and (self.study is not None or self._lock_draft()):
            self._journal.record(self.case, where, None, new)

    def saved(self) -> npt.NDArray[np.int32] | None:
        """Return the labels as the study has them, without what the journal holds."""
        return None if self.study is None else self.study.working_labels(self.case)

    def pending(self) -> UnsavedChanges | None:
        """Return what the journal holds and no saved labels do; None for nothing."""
        return None if self._journal is None else self._journal.pending(self.case)

    def replay(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return labels with the journal's changes applied."""
        return labels if self._journal is None else self._journal.replay(self.case, labels)

    def mark(self) -> int:
        """Return the number of the latest change."""
        return 0 if self._journal is None else self._journal.mark(self.case)

    def forget(self, upto: int | None = None) -> None:
        """Drop changes from the journal, up to a mark: they are saved or unwanted."""
        if self._journal is not None:
            self._journal.compact(self.case, upto)

    def make_study(self, folder: Path, table: MuscleTable) -> Study:
        """Put the scan into the study in a folder, which is made if there is none.

        Raises
        ------
        BadInput
            If it cannot be made or opened, or has other muscles.
        """
        if not folder.is_absolute():
            raise BadInput(f"{folder} is no whole path; choose the study's folder with '…'.")
        usual = self.proposed_place()
        study = _acquire(folder, table)
        claimed = False
        try:
            if not study.table.same_muscles(table):
                raise BadInput(
                    f"The study {folder} is about other muscles than these labels; "
                    "choose another folder for it."
                )
            scan = self.scan
            name = as_file_name(self.name)
            path = scan.path if scan is not None else self._write_scan(study.folder)
            case = study.add_scan(path, scan.volume if scan is not None else None, case=name)
            self._claim(study, case)
            claimed = True
            study.set_states(case, self._states)
            if folder != usual:
                self._lock_draft()
                self._draft.remember_study(folder)
        except BaseException:
            if claimed:
                _open_scans.discard((study.folder, self.case))
                self.case = CASE
            _release(study.folder)
            raise
        draft = self._journal
        self._enter(study, case)
        if draft is not None and self._journal is not None:
            self._journal.take_over(case, draft, CASE)
            draft.close()
        return study

    def save(self, labels: npt.NDArray[Any], mark: int) -> None:
        """Save all labels into the study and forget the changes up to a mark; for a thread.

        Raises
        ------
        BadInput
            If they cannot be written.
        """
        with self._saving:
            if self.study is None:
                return
            self.study.save_labels(self.case, labels, self.geometry)
            self.forget(mark)
            with Journal(self._draft.journal_folder) as draft:
                draft.compact(CASE)
            self._draft.forget_states()

    def close(self) -> None:
        """Write what is waiting and release all locks."""
        with self._saving:
            if self._journal is not None:
                self._journal.close()
                self._journal = None
            self._draft.release()
            if self.study is not None:
                _open_scans.discard((self.study.folder, self.case))
                _release(self.study.folder)
                self.study = None

    def _claim(self, study: Study, case: str) -> None:
        if (study.folder, case) in _open_scans:
            raise BadInput(_open_twice(self.name))
        _open_scans.add((study.folder, case))
        self.case = case

    def _enter(self, study: Study, case: str) -> None:
        self.study, self.case, self.problem = study, case, None
        self._journal = Journal(study.journal_folder, on_problem=self._set_problem)

    def _merge_draft(self) -> None:
        """Take over what a window that was killed while it made the study has left in the draft."""
        if self.study is None or self._journal is None or not self._draft.journal_folder.is_dir():
            return
        try:
            self._draft.lock()
        except BadInput:
            return  # another window is at it
        try:
            with Journal(self._draft.journal_folder) as draft:
                self._journal.take_over(self.case, draft, CASE)
            if not self.study.states(self.case):
                self.study.set_states(self.case, self._draft.read_states())
        finally:
            self._draft.release()

    def _unique_name(self) -> str:
        """Return a folder's name that only this scan has."""
        found = hashlib.sha256()
        if self.scan is not None:
            with contextlib.suppress(OSError):
                found.update(fingerprint(self.scan.path)[1].encode())
            found.update(str(self.scan.volume).encode())
        else:
            image = self._image
            found.update(np.ascontiguousarray(image[:: max(1, len(image) // 4)]).tobytes())
        found.update(str(self.geometry.shape).encode())
        return f"{as_file_name(self.name)}-{found.hexdigest()[:10]}"

    def _case_in(self, place: Path) -> str | None:
        """Return the scan's case in a study; None if the study does not have it."""
        scan = self.scan
        path = scan.path if scan is not None else self._scan_path(place)
        return Study.read(place).case_of(path, scan.volume if scan is not None else None)

    def _scan_path(self, place: Path) -> Path:
        return place / "scans" / f"{self._key}{NIFTI[0]}"

    def _write_scan(self, place: Path) -> Path:
        """Write a scan that has no file, such as the sample, into the study."""
        import nibabel as nib

        geometry = self.geometry
        stored = geometry.to_stored(
            np.asarray(self._image, np.float32).reshape(geometry.canonical_shape)
        )
        path = self._scan_path(place)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            image: Any = nib.Nifti1Image(stored, geometry.affine)  # type: ignore[no-untyped-call]
            image.header.set_xyzt_units("mm")
            write_whole(path, lambda part: nib.save(image, part))
        return path

    def _lock_draft(self) -> bool:
        """Take the draft for this window alone; without it, nothing is stored from now on.

        Trying again later would leave a hole: what was drawn until then.
        """
        try:
            self._draft.lock()
        except FolderLocked:
            self._disable(_open_twice(self.name))
        except OSError as error:
            self._disable(
                f"Corrections of {self.name} cannot be kept in {self._draft.folder}: "
                f"{error.strerror or error}; save the labels to a file often."
            )
        return self._draft.is_locked

    def _set_problem(self, sentence: str) -> None:
        self.problem = sentence

    def _disable(self, problem: str) -> None:
        """Store nothing any more, for the reason that a sentence says."""
        self.problem = problem
        if self._journal is not None:
            self._journal.close()
        self._journal = None


def _open_twice(name: str) -> str:
    return (
        f"{name} is open twice; corrections of the second one are not kept. "
        "Close one of them, and open the scan again."
    )


def _acquire(folder: Path, table: MuscleTable | None = None) -> Study:
    folder = folder.absolute()
    study, users = _studies.get(folder, (None, 0))
    if study is None:
        make = table is not None and not is_study(folder)
        study = Study.create(folder, table) if make and table is not None else Study.open(folder)
    _studies[folder] = (study, users + 1)
    return study


def _release(folder: Path) -> None:
    folder = folder.absolute()
    study, users = _studies.pop(folder)
    if users > 1:
        _studies[folder] = (study, users - 1)
    else:
        study.close()
