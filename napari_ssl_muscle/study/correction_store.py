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
from napari_ssl_muscle.study.lock import FolderLocked
from napari_ssl_muscle.study.open_studies import acquire_study, release_study
from napari_ssl_muscle.study.places import proposed_study, study_places
from napari_ssl_muscle.study.scan_reference import fingerprint
from napari_ssl_muscle.study.slice_states import SliceState
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.study_folder import is_study
from napari_ssl_muscle.study.unsaved.draft import CASE, Draft
from napari_ssl_muscle.study.unsaved.journal import Journal, UnsavedChanges
from napari_ssl_muscle.study.unsaved.unsaved_files import UnsavedFiles

if TYPE_CHECKING:
    from napari_ssl_muscle.scans.geometry import Geometry
    from napari_ssl_muscle.scans.muscles import MuscleTable
    from napari_ssl_muscle.scans.volume import Scan

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
        self._files: UnsavedFiles | None = None
        try:
            found = self._find_study()
            if found is not None:
                place, case = found
                study = acquire_study(place)
                try:
                    self._claim(study, case)
                except BaseException:
                    release_study(study)
                    raise
                self._enter(study, case)
                self._merge_draft()
                return
            self._open_draft()
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
        if self.scan is not None and self.scan.path.parent.is_dir():
            return proposed_study(self.scan.path)
        return studies_folder() / self._key

    def leave_lost_study(self) -> str | None:
        """Go on with a draft if the study's folder is gone; return a sentence about that then.

        States go along. Labels and strokes do not: the caller records all of them anew.
        """
        study = self.study
        if study is None or is_study(study.folder):
            return None
        self._states = study.states(self.case)
        if self._journal is not None:
            self._journal.close()
        _open_scans.discard((study.folder, self.case))
        release_study(study)
        self.study, self.case, self.problem = None, CASE, None
        self._open_draft()
        if self._lock_draft():
            self._draft.write_states(self._states)
        return (
            f"The study {study.folder} is gone: deleted, moved, or its disk is away. Labels and "
            f"states of {self.name} are kept in {self._draft.folder}; put the study back and open "
            "the scan again, or choose another folder below and accept a slice there."
        )

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

    def saved_table(self) -> MuscleTable | None:
        """Return the muscles of the labels that `saved` gives, or of the changes of a draft."""
        return self.pending_table() if self.study is None else self.study.table

    def pending_table(self) -> MuscleTable | None:
        """Return the muscles of the journal's changes; None if they were not noted."""
        return None if self._files is None else self._files.read_table()

    def set_table(self, table: MuscleTable) -> None:
        """Note the muscles of what is recorded from now on; BadInput if that cannot be written."""
        if self._files is not None and (self.study is not None or self._lock_draft()):
            self._files.write_table(table)

    def discard(self, upto: int) -> None:
        """Drop changes up to a mark, but keep them for some days; BadInput if that cannot be."""
        if self._files is not None:
            self._files.discard(upto)

    def discarded(self) -> bool:
        """Whether there are discarded changes that can come back."""
        return self._files is not None and self._files.discarded() is not None

    def bring_back(self) -> MuscleTable | None:
        """Make the changes discarded last pending again; return their muscles, if known.

        Raises
        ------
        BadInput
            If there are none, or they cannot be read.
        """
        return None if self._files is None else self._files.bring_back()

    def make_study(self, folder: Path, table: MuscleTable) -> Study:
        """Put the scan into the study in a folder, which is made if there is none.

        Raises
        ------
        BadInput
            If it cannot be made or opened, or has other muscles.
        """
        if not folder.is_absolute():
            raise BadInput(f"{folder} is no whole path; choose the study's folder with '…'.")
        study = acquire_study(folder, table)
        claimed = False
        try:
            if not study.table.same_labels(table):
                raise BadInput(
                    f"The study {folder} is about other muscles than these labels, or has other "
                    "values for them; choose another folder."
                )
            scan = self.scan
            name = as_file_name(self.name)
            path = scan.path if scan is not None else self._write_scan(study.folder)
            case = study.add_scan(path, scan.volume if scan is not None else None, case=name)
            self._claim(study, case)
            claimed = True
            study.set_states(case, self._states)
            elsewhere = scan is None or folder not in study_places(scan.path)
            if elsewhere and self._lock_draft():
                self._draft.remember_study(folder)
        except BaseException:
            if claimed:
                _open_scans.discard((study.folder, self.case))
                self.case = CASE
            release_study(study)
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
            # The study may be lost, and left for a draft, while this thread is at it.
            study, journal, case = self.study, self._journal, self.case
            if study is None:
                return
            study.save_labels(case, labels, self.geometry)
            if journal is not None:
                journal.compact(case, mark)
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
                release_study(self.study)
                self.study = None

    def _claim(self, study: Study, case: str) -> None:
        if (study.folder, case) in _open_scans:
            raise BadInput(_open_twice(self.name))
        _open_scans.add((study.folder, case))
        self.case = case

    def _enter(self, study: Study, case: str) -> None:
        self.study, self.case, self.problem = study, case, None
        self._journal = Journal(study.journal_folder, on_problem=self._set_problem)
        self._files = UnsavedFiles(self._journal, case)
        self._files.delete_old()

    def _open_draft(self) -> None:
        self._journal = Journal(self._draft.journal_folder, on_problem=self._set_problem)
        self._files = UnsavedFiles(self._journal, CASE)
        self._files.delete_old()

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

    def _find_study(self) -> tuple[Path, str] | None:
        """Return the study that the scan is in and its case there; None if it is in none."""
        places = [studies_folder() / self._key]
        if self.scan is not None:
            places = [*study_places(self.scan.path), *places]
        if (remembered := self._draft.study_folder()) is not None:
            places.insert(0, remembered)
        damaged: BadInput | None = None
        for place in places:
            try:
                if is_study(place) and (case := self._case_in(place)) is not None:
                    return place, case
            except BadInput as problem:
                damaged = damaged or problem
        if damaged is not None:
            raise damaged
        return None

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
        self._journal = self._files = None


def _open_twice(name: str) -> str:
    return (
        f"{name} is open twice; corrections of the second one are not kept. "
        "Close one of them, and open the scan again."
    )
