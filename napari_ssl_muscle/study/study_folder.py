"""The files of a study's folder: their names, and how each is read and written.

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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.naming import STUDY, label_map_name
from napari_ssl_muscle.study.lock import LOCK
from napari_ssl_muscle.study.scan_reference import ScanReference
from napari_ssl_muscle.study.slice_states import SliceStates

STATES, HELD_OUT, SPLIT = "states.json", "heldout.json", "split.json"
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
    channel
        Name of its image channel where that is known.
    """

    case: str
    subject: str
    channel: str | None
    reference: ScanReference

    def to_json(self) -> dict[str, Any]:
        """Return the scan as plain data."""
        return {
            "case": self.case,
            "subject": self.subject,
            "channel": self.channel,
            "scan": self.reference.to_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> StudyScan:
        """Read what `to_json` returned; KeyError, TypeError or ValueError if it is not that."""
        return cls(
            str(content["case"]),
            str(content["subject"]),
            content["channel"],
            ScanReference.from_json(content["scan"]),
        )


class StudyFolder:
    """A study's folder.

    What reads raises BadInput if a file is missing or damaged, what writes if it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    # --- where things are

    @property
    def split_path(self) -> Path:
        """Where the split of a cohort beside the study is kept, once there is one."""
        return self.folder / SPLIT

    @property
    def journal_folder(self) -> Path:
        """Where corrections that are not saved yet are kept."""
        return self.folder / "journal"

    def labels_path(self, case: str) -> Path:
        """Return where the accepted labels of a case are."""
        return self.folder / "labels" / label_map_name(case)

    def working_path(self, case: str) -> Path:
        """Return where all labels of a case are, accepted or not."""
        return self.folder / "working" / label_map_name(case)

    def next_run(self, action: str = "finetune") -> Path:
        """Return a folder for the next run, such as `runs/003-finetune`; it is not made."""
        there = (self.folder / "runs").glob("[0-9]*-*")
        numbers = [int(path.name.partition("-")[0]) for path in there]
        return self.folder / "runs" / f"{max(numbers, default=0) + 1:03d}-{action}"

    # --- the model to go on with

    @property
    def model(self) -> str | None:
        """The model that was kept last, as a job names it; None if there is none any more.

        A file's path, or the name of a model that comes with the program.
        """
        if not (self.folder / MODEL).is_file():
            return None
        file, name = self._read(MODEL, lambda content: (content["file"], content["name"]))
        if file is None:
            return None if name is None else str(name)
        path = self.folder / str(file)  # an absolute one stays as it is
        return str(path) if path.is_file() else None

    def set_model(self, model: Path | str) -> None:
        """Remember the model to go on with, for whoever opens the study next.

        It has a file of its own, so that this may be done wherever the study is open.

        Parameters
        ----------
        model
            A file, kept relative to the study where it lies inside; or as text the name of a
            model that comes with the program.
        """
        file: str | None = None
        if isinstance(model, Path):
            path, home = model.absolute(), self.folder.absolute()
            inside = path.is_relative_to(home)
            file = path.relative_to(home).as_posix() if inside else str(path)
        name = None if isinstance(model, Path) else model
        write_json(self.folder / MODEL, {"format": _FORMAT, "file": file, "name": name})

    # --- what an open study holds in memory

    def read_scans(self) -> tuple[MuscleTable, list[StudyScan]]:
        """Read the muscle table and the scans."""

        def load(content: Any) -> tuple[MuscleTable, list[StudyScan]]:
            if content["format"] != _FORMAT:
                raise ValueError("another format")
            scans = [StudyScan.from_json(entry) for entry in content["scans"]]
            return MuscleTable.from_rows(content["muscles"]), scans

        return self._read(STUDY, load)

    def write_scans(self, table: MuscleTable, scans: Iterable[StudyScan]) -> None:
        """Write the muscle table and the scans."""
        entries = [scan.to_json() for scan in scans]
        content = {"format": _FORMAT, "muscles": table.to_rows(), "scans": entries}
        write_json(self.folder / STUDY, content)

    def read_states(self) -> SliceStates:
        """Read the states of all slices and what is held out."""
        states = self._read(HELD_OUT, SliceStates.from_held_out)
        self._read(STATES, states.restore)
        return states

    def write_states(self, states: SliceStates, *, held_out: bool) -> None:
        """Write the states of all slices; `held_out`: and what is held out."""
        # First what is held out: a slice must not be accepted while that is undecided.
        if held_out:
            write_json(self.folder / HELD_OUT, states.held_out_to_json())
        write_json(self.folder / STATES, states.to_json())

    def read_confidence(self) -> dict[str, list[float]]:
        """Read how sure the latest model was of each slice of a case; empty before the first."""
        if not (self.folder / CONFIDENCE).exists():
            return {}
        return self._read(
            CONFIDENCE,
            lambda content: {
                str(case): [float(value) for value in values] for case, values in content.items()
            },
        )

    def write_confidence(self, confidence: dict[str, list[float]]) -> None:
        """Write how sure the latest model was of each slice of a case."""
        write_json(self.folder / CONFIDENCE, confidence)

    def _read(self, name: str, load: Callable[[Any], _T]) -> _T:
        path = self.folder / name
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


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return (Path(folder) / STUDY).is_file()


def require_study(folder: Path) -> None:
    """Check that a folder holds a study; BadInput if it does not."""
    if not is_study(folder):
        raise BadInput(f"{folder} holds no study ({STUDY} is missing); choose a study's folder.")


def make_folder(folder: Path) -> None:
    """Make the folder of a new study, or take an empty one.

    Raises
    ------
    BadInput
        If the folder holds a study, or anything else but hidden files, or cannot be made.
    """
    folder = Path(folder)
    if is_study(folder):
        raise BadInput(f"{folder} holds a study already; open it, or choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; choose a new folder for the study.")
    # What a creation that was cut short has left behind does not count.
    ours = {LOCK, STATES, HELD_OUT}
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
