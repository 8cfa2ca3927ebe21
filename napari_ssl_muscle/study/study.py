"""A study: the folder in which corrections grow, and which is reopened tomorrow.

```
study.json          scans by reference, muscle table
states.json         state of each slice
heldout.json        order of first acceptance, and the slices that never train
confidence.json     how sure the latest model was of each slice
model.json          the model that a person chose to go on with
labels/             CASE_dseg.nii.gz: accepted slices only, everything else 0
working/            CASE_dseg.nii.gz: all labels as they were last saved, accepted or not
journal/            corrections since then
split.json          which subjects of a cohort train beside the study
runs/               one folder for each training
```
Every file is written whole or not at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.scans.geometry import Geometry
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.naming import (
    as_file_name,
    label_map_name,
    stem_of,
    subject_and_session,
)
from napari_ssl_muscle.scans.volume import Scan, open_label_map, open_scan, save_label_map
from napari_ssl_muscle.study.lock import NAME, StudyLock
from napari_ssl_muscle.study.scan_reference import ScanReference
from napari_ssl_muscle.study.slice_states import SliceState, SliceStates

STUDY, STATES, HELD_OUT, SPLIT = "study.json", "states.json", "heldout.json", "split.json"
CONFIDENCE, MODEL = "confidence.json", "model.json"

_FORMAT = 1
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class StudyScan:
    """A scan of a study.

    Attributes
    ----------
    case
        Its name in the study; names of files are made of it.
    subject
        Whose leg it is.
    channel
        Name of its image channel where that is known.
    reference
        Where it lies.
    """

    case: str
    subject: str
    channel: str | None
    reference: ScanReference


@dataclass(frozen=True, eq=False)
class StudyCase:
    """What a training takes from a study for one scan.

    Attributes
    ----------
    name, subject, channel
        As in `StudyScan`.
    scan
        Open, and checked to be the one that was labelled.
    labels
        Label map of the accepted slices.
    accepted, accepted_empty
        Slices accepted now; the second are those of them without muscle.
    held_out
        Slices that never train, accepted now or not.
    """

    name: str
    subject: str
    channel: str | None
    scan: Scan
    labels: Path
    accepted: frozenset[int]
    accepted_empty: frozenset[int]
    held_out: frozenset[int]


class Study:
    """An open study; `create`, `open` or `read` makes one. May be used from several threads.

    Attributes
    ----------
    folder
        The study's folder.
    table
        The muscle table of its labels.
    note
        A sentence for the user about how it was opened, or None.
    """

    def __init__(self, folder: Path, table: MuscleTable, lock: StudyLock | None) -> None:
        self.folder = Path(folder)
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
        folder = Path(folder)
        if (folder / STUDY).exists():
            raise BadInput(f"{folder} holds a study already; open it, or choose another folder.")
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file; choose a new folder for the study.")
        # What a creation that was cut short has left behind does not count.
        ours = {NAME, STATES, HELD_OUT}
        if folder.is_dir() and any(
            path.name[0] != "." and path.name not in ours for path in folder.iterdir()
        ):
            raise BadInput(f"{folder} is not empty; choose a new folder for the study.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"Cannot make the study {folder}: {error.strerror or error}; choose another folder."
            ) from error
        study = cls(folder, table, StudyLock(folder))
        study._write_states(held_out=True)
        study._write_study()  # last: a folder with this file is a whole study
        return study

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open a study to work on it, in this window alone.

        Raises
        ------
        BadInput
            If it is open in another window, there is none, or a file in it is damaged.
        """
        _require(Path(folder))
        lock = StudyLock(Path(folder))
        try:
            return cls._load(Path(folder), lock)
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
        _require(Path(folder))
        return cls._load(Path(folder), None)

    @classmethod
    def _load(cls, folder: Path, lock: StudyLock | None) -> Study:
        def load(content: Any) -> tuple[MuscleTable, list[StudyScan]]:
            if content["format"] != _FORMAT:
                raise ValueError("another format")
            scans = [
                StudyScan(
                    str(entry["case"]),
                    str(entry["subject"]),
                    entry["channel"],
                    ScanReference.from_json(entry["scan"]),
                )
                for entry in content["scans"]
            ]
            return MuscleTable.from_rows(content["muscles"]), scans

        table, scans = _read(folder / STUDY, load)
        study = cls(folder, table, lock)
        study._scans = {scan.case: scan for scan in scans}
        study._states = _read(folder / HELD_OUT, SliceStates.decided)
        _read(folder / STATES, study._states.restore)
        if (folder / CONFIDENCE).exists():
            study._confidence = _read(
                folder / CONFIDENCE,
                lambda content: {
                    str(case): [float(value) for value in values]
                    for case, values in content.items()
                },
            )
        return study

    def close(self) -> None:
        """Let the study go, so that another window can open it."""
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
            The scan; it is neither copied nor changed.
        volume
            Which volume of a 4D file.
        case
            What to call it; the file's name if it is not given. A number is added where another
            scan has that name.
        subject
            Whose leg it is; read from the case's name if it is not given.
        channel
            Name of the image channel.

        Raises
        ------
        BadInput
            If the scan cannot be opened, or the study cannot be written.
        """
        scan = open_scan(path, volume)
        with self._guard:
            known = self.case_of(scan.path, scan.volume)
            if known is not None:
                return known
            wanted = as_file_name(case or stem_of(scan.path))
            name, number = wanted, 1
            # Some file systems do not tell capitals from small letters.
            while name.lower() in {taken.lower() for taken in self._scans}:
                number += 1
                name = f"{wanted}-{number}"
            whose = subject or subject_and_session(case or scan.name)[0]
            reference = ScanReference.to(scan, self.folder)
            self._keep(StudyScan(name, whose, channel, reference))
            return name

    def open_scan(self, case: str) -> Scan:
        """Open a case's scan, after checking that it is still the one that was added.

        Raises
        ------
        BadInput
            If it has gone or changed, or there is no such case.
        """
        return self._scan(case).reference.open(self.folder)

    def relocate(self, case: str, path: Path) -> None:
        """Take note of where a case's scan lies now.

        Raises
        ------
        BadInput
            If that is another scan.
        """
        with self._guard:
            known = self._scan(case)
            if not known.reference.is_content_of(Path(path)):
                raise BadInput(f"{path} is not the scan that was added as {case}; choose that one.")
            reference = ScanReference.to(open_scan(path, known.reference.volume), self.folder)
            self._keep(StudyScan(case, known.subject, known.channel, reference))

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

    def set_state(self, case: str, z: int, state: SliceState) -> None:
        """Set the state of a slice; the first acceptance decides whether it is held out."""
        self.set_states(case, {z: state})

    def set_states(self, case: str, states: Mapping[int, SliceState]) -> None:
        """Set the states of some slices of a case and write them, all or none.

        Raises
        ------
        BadInput
            If there is no such case or slice, or the study cannot be written.
        """
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
                self._write_states(held_out=decided or failed)
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
            kept = self._confidence.get(case)
            return None if kept is None else list(kept)

    def set_prediction(self, case: str, confidence: npt.ArrayLike) -> None:
        """Take note of a new prediction: its confidence, and the slices that nobody has seen yet.

        Slices that were touched or accepted keep their state.

        Parameters
        ----------
        case
            The scan's case.
        confidence
            Per slice, from 0 to 1, as a segmentation gives it.

        Raises
        ------
        BadInput
            If there is no such case, it has another number of slices, or the study cannot be
            written.
        """
        values = [round(float(value), 4) for value in np.asarray(confidence).ravel()]
        if len(values) != (depth := self._depth(case)):
            raise BadInput(f"The prediction has {len(values)} slices and {case} has {depth}.")
        with self._guard:
            self._confidence[case] = values
            write_json(self.folder / CONFIDENCE, self._confidence)
            known = self._states.of(case)
            self.set_states(case, {z: "predicted" for z in range(depth) if z not in known})

    # --- labels

    def save_labels(
        self, case: str, labels: npt.NDArray[np.integer[Any]], geometry: Geometry | None = None
    ) -> Path:
        """Save a case's labels: all of them to go on with, the accepted slices to train on.

        Parameters
        ----------
        case
            The scan's case.
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
            If the scan or its grid is another one, or the study cannot be written.
        """
        geometry = geometry or self.open_scan(case).geometry
        depth = self._depth(case)
        if labels.shape != geometry.canonical_shape or len(labels) != depth:
            raise BadInput(
                f"The labels of {case} have another size than its scan; "
                "save labels that were drawn on this scan."
            )
        kept = np.zeros_like(labels)
        chosen = sorted(self.accepted(case) - self.accepted_empty(case))
        kept[chosen] = labels[chosen]
        with self._saving:  # states can be read and set meanwhile
            save_label_map(self._working_path(case), labels, geometry, self.table)
            return save_label_map(self.labels_path(case), kept, geometry, self.table)[0]

    def working_labels(self, case: str) -> npt.NDArray[np.int32] | None:
        """Return all labels as they were last saved, `(z, y, x)`; None if they never were."""
        path = self._working_path(case)
        return open_label_map(path).read() if path.is_file() else None

    def labels_path(self, case: str) -> Path:
        """Return where the accepted labels of a case are."""
        return self.folder / "labels" / label_map_name(case)

    def _working_path(self, case: str) -> Path:
        return self.folder / "working" / label_map_name(case)

    # --- the model to go on with

    @property
    def model(self) -> str | None:
        """The model that was kept last, as a job names it; None if there is none any more.

        A file's path, or the name of a model that comes with the program.

        Raises
        ------
        BadInput
            If the file that says so is damaged.
        """
        if not (self.folder / MODEL).is_file():
            return None
        kept = _read(self.folder / MODEL, lambda content: (content["file"], content["name"]))
        if kept[0] is None:
            return None if kept[1] is None else str(kept[1])
        path = self.folder / str(kept[0])  # an absolute one stays as it is
        return str(path) if path.is_file() else None

    def set_model(self, model: Path | str) -> None:
        """Remember the model to go on with, for whoever opens the study next.

        It has a file of its own, so that this may be done wherever the study is open.

        Parameters
        ----------
        model
            A file, kept relative to the study where it lies inside; or as text the name of a
            model that comes with the program.

        Raises
        ------
        BadInput
            If it cannot be written.
        """
        file: str | None = None
        if isinstance(model, Path):
            path, home = model.absolute(), self.folder.absolute()
            inside = path.is_relative_to(home)
            file = path.relative_to(home).as_posix() if inside else str(path)
        name = None if isinstance(model, Path) else model
        write_json(self.folder / MODEL, {"format": _FORMAT, "file": file, "name": name})

    # --- trainings

    def training_cases(self) -> list[StudyCase]:
        """Return what trainings and comparisons take: every scan with an accepted, saved slice.

        Raises
        ------
        BadInput
            If such a scan has gone or changed.
        """
        return [
            StudyCase(
                scan.case,
                scan.subject,
                scan.channel,
                self.open_scan(scan.case),
                self.labels_path(scan.case),
                self.accepted(scan.case),
                self.accepted_empty(scan.case),
                self.held_out(scan.case),
            )
            for scan in self.scans.values()
            if self.accepted(scan.case) and self.labels_path(scan.case).is_file()
        ]

    def next_run(self, action: str = "finetune") -> Path:
        """Return a folder for the next run, such as `runs/003-finetune`; it is not made."""
        there = (self.folder / "runs").glob("[0-9]*-*")
        numbers = [int(path.name.partition("-")[0]) for path in there]
        return self.folder / "runs" / f"{max(numbers, default=0) + 1:03d}-{action}"

    @property
    def split_path(self) -> Path:
        """Where the split of a cohort beside the study is kept, once there is one."""
        return self.folder / SPLIT

    @property
    def journal_folder(self) -> Path:
        """Where corrections that are not saved yet are kept."""
        return self.folder / "journal"

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

    def _keep(self, scan: StudyScan) -> None:
        """Add or replace a scan, in the file first of all."""
        before = self._scans
        self._scans = {**before, scan.case: scan}
        try:
            self._write_study()
        except BaseException:
            self._scans = before
            raise

    def _write_study(self) -> None:
        write_json(
            self.folder / STUDY,
            {
                "format": _FORMAT,
                "muscles": self.table.to_rows(),
                "scans": [
                    {
                        "case": scan.case,
                        "subject": scan.subject,
                        "channel": scan.channel,
                        "scan": scan.reference.to_json(),
                    }
                    for scan in self._scans.values()
                ],
            },
        )

    def _write_states(self, *, held_out: bool) -> None:
        # First what is held out: a slice must not be accepted while that is undecided.
        if held_out:
            write_json(self.folder / HELD_OUT, self._states.held_out_to_json())
        write_json(self.folder / STATES, self._states.to_json())


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return (Path(folder) / STUDY).is_file()


def _require(folder: Path) -> None:
    if not is_study(folder):
        raise BadInput(f"{folder} holds no study ({STUDY} is missing); choose a study's folder.")


def _read(path: Path, load: Callable[[Any], _T]) -> _T:
    try:
        return load(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(
            f"Cannot read {path}: {error.strerror or error}; restore it from a copy."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadInput(
            f"{path} is damaged or was written by a newer program; restore it from a copy."
        ) from error
