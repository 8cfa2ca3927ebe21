"""A study: scans by reference, what a person said about their slices, and the labels of these."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import as_file_name
from napari_ssl_muscle.scans.volume import Scan, open_label_map, open_scan, save_label_map
from napari_ssl_muscle.study.lock import StudyLock
from napari_ssl_muscle.study.scan_reference import ScanReference
from napari_ssl_muscle.study.slice_states import SliceState, SliceStates
from napari_ssl_muscle.study.study_folder import (
    StudyFolder,
    StudyScan,
    is_study,
    make_folder,
    require_study,
)


class Study(StudyFolder):
    """An open study; `create`, `open` or `read` makes one. May be used from several threads.

    Whatever writes raises BadInput if the study cannot be written, and whatever takes a case does
    if there is no such case.

    Attributes
    ----------
    table
        The muscle table of its labels.
    note
        A sentence for the user about how it was opened, or None.
    """

    def __init__(self, folder: Path, table: MuscleTable, lock: StudyLock | None) -> None:
        super().__init__(folder)
        self.table = table
        self.note = None if lock is None else lock.note
        self._lock = lock
        self._guard = threading.RLock()
        self._saving = threading.Lock()
        self._unsaved = False
        self._scans: dict[str, StudyScan] = {}
        self._states = SliceStates()
        self._confidence: dict[str, list[float]] = {}

    @classmethod
    def create(cls, folder: Path, table: MuscleTable) -> Study:
        """Make a study in a folder that holds none, and open it.

        Raises
        ------
        BadInput
            If the folder holds a study, or anything else but hidden files, or cannot be written.
        """
        make_folder(folder)
        study = cls(folder, table, StudyLock(Path(folder)))
        study.write_states(study._states, held_out=True)
        study.write_scans(table, ())  # last: a folder with this file is a whole study
        return study

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open a study to work on it, in this window alone.

        Raises
        ------
        BadInput
            If it is open in another window, there is none, or a file in it is damaged.
        """
        require_study(folder)
        lock = StudyLock(Path(folder))
        try:
            return cls._load(folder, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, folder: Path) -> Study:
        """Open a study only to read it; it may be open in a window at the same time.

        Raises
        ------
        BadInput
            If there is none, or a file in it is damaged.
        """
        require_study(folder)
        return cls._load(folder, None)

    @classmethod
    def _load(cls, folder: Path, lock: StudyLock | None) -> Study:
        files = StudyFolder(folder)
        table, scans = files.read_scans()
        study = cls(folder, table, lock)
        study._scans = {scan.case: scan for scan in scans}
        study._states = files.read_states()
        study._confidence = files.read_confidence()
        return study

    def close(self) -> None:
        """Release the study, so that another window can open it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- scans

    @property
    def scans(self) -> dict[str, StudyScan]:
        """Case → scan, in the order in which they were added."""
        with self._guard:
            return dict(self._scans)

    def case_of(self, path: Path, volume: int | None = None) -> str | None:
        """Return the case of a scan's file, wherever a copy of it lies; None if it has none."""
        path = Path(path)
        for case, scan in self.scans.items():
            if scan.reference.volume == volume and scan.reference.is_content_of(path):
                return case
        return None

    def add_scan(
        self,
        path: Path,
        volume: int | None = None,
        *,
        case: str | None = None,
        subject: str | None = None,
        channel: str | None = None,
    ) -> str:
        """Add a scan by reference and return its case; one that is there already is found again.

        Parameters
        ----------
        path
            The scan; it is neither copied nor changed. BadInput is raised if it cannot be opened.
        volume
            Which volume of a 4D file.
        case
            What to call it; the file's name if it is not given. A number is added where another
            scan has that name.
        subject
            Whose leg it is; read from the case's name if it is not given.
        """
        scan = open_scan(path, volume)
        with self._guard:
            known = self.case_of(scan.path, scan.volume)
            if known is not None:
                return known
            wanted = as_file_name(case or scan.name)
            name, number = wanted, 1
            # Some file systems do not distinguish capitals from small letters.
            while name.lower() in {taken.lower() for taken in self._scans}:
                number += 1
                name = f"{wanted}-{number}"
            subject = subject or subject_and_session(case or scan.name)[0]
            self._set_scan(StudyScan(name, subject, channel, ScanReference.to(scan, self.folder)))
            return name

    def open_scan(self, case: str) -> Scan:
        """Open a case's scan; BadInput if it has gone or is not the one that was added."""
        return self._scan(case).reference.open(self.folder)

    def relocate(self, case: str, path: Path) -> None:
        """Note where a case's scan lies now; BadInput if that is another scan."""
        with self._guard:
            known = self._scan(case)
            if not known.reference.is_content_of(Path(path)):
                raise BadInput(f"{path} is not the scan that was added as {case}; choose that one.")
            reference = ScanReference.to(open_scan(path, known.reference.volume), self.folder)
            self._set_scan(StudyScan(case, known.subject, known.channel, reference))

    @property
    def problems(self) -> list[str]:
        """Sentences about scans that have gone or changed."""
        found = []
        for case in self.scans:
            try:
                self.open_scan(case)
            except BadInput as error:
                found.append(str(error))
        return found

    # --- states

    def states(self, case: str) -> dict[int, SliceState]:
        """Return canonical z → state; slices that are not there are unseen."""
        with self._guard:
            return self._states.of(case)

    def set_states(self, case: str, states: Mapping[int, SliceState]) -> None:
        """Set the states of some slices (z → state) of a case and write them, all or none.

        The first acceptance of a slice decides whether it is held out.

        Raises
        ------
        BadInput
            If there is no such slice.
        """
        self.require_there()
        with self._guard:
            depth = self._depth(case)
            outside = [z for z in states if not 0 <= z < depth]
            if outside:
                raise BadInput(f"{case} has no slice {outside[0]}; it has {depth}, from 0.")
            failed = self._unsaved  # the last time, on a full disk
            before = self._states.held_out_to_json()
            self._unsaved |= self._states.set(case, states)
            if self._unsaved:
                decided = before != self._states.held_out_to_json()
                self.write_states(self._states, held_out=decided or failed)
                self._unsaved = False

    def accepted(self, case: str) -> frozenset[int]:
        """Return the slices that are accepted now, with labels or as empty."""
        with self._guard:
            return self._states.accepted(case)

    def accepted_empty(self, case: str) -> frozenset[int]:
        """Return the slices that are accepted now as having no muscle."""
        with self._guard:
            return self._states.accepted_empty(case)

    def held_out(self, case: str) -> frozenset[int]:
        """Return the slices that never train, whatever their state is now."""
        with self._guard:
            return self._states.held_out(case)

    def done(self, case: str) -> frozenset[int]:
        """Return the slices that need not be suggested: accepted ones, and those held out."""
        return self.accepted(case) | self.held_out(case)

    def confidence(self, case: str) -> list[float] | None:
        """Return how sure the latest model was of each slice, or None if there was none."""
        with self._guard:
            known = self._confidence.get(case)
            return None if known is None else list(known)

    def set_prediction(self, case: str, confidence: npt.ArrayLike) -> None:
        """Note a new prediction: its confidence, and the slices that nobody has seen yet.

        Slices that were touched or accepted keep their state.

        Parameters
        ----------
        confidence
            Per slice, from 0 to 1; BadInput is raised for another number of slices.
        """
        values = [round(float(value), 4) for value in np.asarray(confidence).ravel()]
        if len(values) != (depth := self._depth(case)):
            raise BadInput(f"The prediction has {len(values)} slices and {case} has {depth}.")
        self.require_there()
        with self._guard:
            self._confidence[case] = values
            self.write_confidence(self._confidence)
            known = self._states.of(case)
            self.set_states(case, {z: "predicted" for z in range(depth) if z not in known})

    def set_table(self, table: MuscleTable) -> None:
        """Change names and colours, or add muscles; the values that there are stay muscles.

        Raises
        ------
        BadInput
            If a value of the study would not be a muscle any more.
        """
        missing = set(self.table.values) - set(table.values)
        if missing:
            names = ", ".join(m.name for m in self.table.muscles if m.value in missing)
            raise BadInput(
                f"The study {self.folder} has accepted labels of {names}; a muscle of it can be "
                "renamed, but not removed."
            )
        self.require_there()
        with self._guard:
            self.write_scans(table, self._scans.values())
            self.table = table

    # --- labels

    def save_labels(
        self, case: str, labels: npt.NDArray[np.integer[Any]], geometry: Geometry | None = None
    ) -> Path:
        """Save a case's labels: all of them to go on with, the accepted slices to train on.

        Parameters
        ----------
        labels
            Label values `(z, y, x)`, canonical.
        geometry
            The scan's; its file is opened where it is not given.

        Returns
        -------
        The label map for training: 0 in every slice that is not accepted.

        Raises
        ------
        BadInput
            If the scan or its grid is another one.
        """
        self.require_there()
        geometry = geometry or self.open_scan(case).geometry
        depth = self._depth(case)
        if labels.shape != geometry.canonical_shape or len(labels) != depth:
            raise BadInput(
                f"The labels of {case} have another size than its scan; "
                "save labels that were drawn on this scan."
            )
        training = np.zeros_like(labels)
        chosen = sorted(self.accepted(case) - self.accepted_empty(case))
        training[chosen] = labels[chosen]
        with self._saving:  # states can be read and set meanwhile
            save_label_map(self.working_path(case), labels, geometry, self.table)
            return save_label_map(self.labels_path(case), training, geometry, self.table)[0]

    def working_labels(self, case: str) -> npt.NDArray[np.int32] | None:
        """Return all labels as they were last saved, `(z, y, x)`; None if they never were."""
        path = self.working_path(case)
        return open_label_map(path).read() if path.is_file() else None

    def require_there(self) -> None:
        """Raise BadInput if the folder was deleted or its disk taken away; it is not made again."""
        if not is_study(self.folder):
            raise BadInput(f"The study {self.folder} is gone: deleted, moved, or its disk is away.")

    # --- inside

    def _scan(self, case: str) -> StudyScan:
        with self._guard:
            if case not in self._scans:
                raise BadInput(
                    f"The study {self.folder} has no scan {case}; "
                    f"it has {', '.join(self._scans) or 'none yet'}."
                )
            return self._scans[case]

    def _depth(self, case: str) -> int:
        reference = self._scan(case).reference
        return Geometry(reference.shape, reference.affine).canonical_shape[0]

    def _set_scan(self, scan: StudyScan) -> None:
        """Add or replace a scan, in the file first of all."""
        scans = {**self._scans, scan.case: scan}
        self.write_scans(self.table, scans.values())
        self._scans = scans
