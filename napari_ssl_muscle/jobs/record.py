"""`segment.json`: which model made which label map of a folder, for the report of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import Provenance, versions
from napari_ssl_muscle.files import FileSet, file_hash, require_whole_set
from napari_ssl_muscle.scans.naming import label_files

NAME = "segment.json"

_FORMAT = 1


class _Model(BaseModel):
    """What the record says of a model; `extra` keeps what newer versions add."""

    model_config = ConfigDict(extra="allow")

    name: str
    split_hash: str | None
    leaking: bool
    training_subjects: list[str] | None


class _Labels(BaseModel):
    """What the record says of a label map."""

    model_config = ConfigDict(extra="allow")

    model_hash: str
    labels_hash: str | None = None
    tables: dict[str, str] | None = None
    corrected_by_hand: bool | None = None
    islands_dropped: bool | None = None


class _Record(BaseModel):
    format: Literal[1]
    models: dict[str, _Model]
    scans: dict[str, _Labels]

    @model_validator(mode="after")
    def _known_models(self) -> _Record:
        if not all(entry.model_hash in self.models for entry in self.scans.values()):
            raise ValueError("a label map is of a model that the record does not know")
        return self


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a folder of label maps, an empty one where there is none.

    Returns
    -------
    dict
        `models` (hash → name, split, training subjects) and `scans` (file name → entry).

    Raises
    ------
    BadInput
        If the file is there and is no such record.
    """
    path = folder / NAME
    require_whole_set(path)
    try:
        content = _Record.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return {"format": _FORMAT, "models": {}, "scans": {}}
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} is no record of this program or of a newer one; "
            "move it away or choose another folder."
        ) from error
    return content.model_dump(exclude_unset=True)


def with_labels(
    folder: Path, hashes: Mapping[str, str], model: Mapping[str, Any], entry: Mapping[str, Any]
) -> tuple[str, str]:
    """Return name and text of a folder's record once a label map is in it.

    Parameters
    ----------
    folder
        Its record is read anew: a window may have saved there meanwhile.
    hashes
        Name → hash of the label map, then of its tables.
    model
        See `model_entry`.
    entry
        What is known of the labels; `model_hash` is the model's.
    """
    record = read_record(folder)
    (name, labels), *tables = hashes.items()
    record["models"][entry["model_hash"]] = dict(model)
    record["scans"][name] = {**entry, "labels_hash": labels, "tables": dict(tables)}
    return NAME, _text(record)


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def check_replaceable(image: Path) -> None:
    """Refuse to replace a label map or a table of it that is not as a model's labels were written.

    Whether it was drawn or corrected by hand, here or elsewhere, or comes from somewhere else: only
    what the folder's record knows unchanged can be made again.

    Raises
    ------
    BadInput
        If there is such a file; the message names it.
    """
    there = [path for path in label_files(image) if path.exists()]
    if not there:
        return
    entry = read_record(image.parent)["scans"].get(image.name, {})
    corrected = entry.get("corrected_by_hand") is not False
    # Records of older versions know no tables: theirs are as good as the label map.
    tables = entry.get("tables")
    known = {image.name: entry.get("labels_hash"), **(tables or {})}
    for path in there:
        old = tables is None and path != image and image.exists() and entry
        if corrected or (not old and known.get(path.name) != file_hash(path)):
            raise BadInput(
                f"{path} is not as a model has made it in this folder (it was drawn or changed by "
                "hand, or comes from elsewhere), so it is not replaced; move it away, or choose "
                "another folder."
            )


def model_entry(origin: Provenance, trained_with: Mapping[str, str]) -> dict[str, Any]:
    """Return what the record says of a model, with the versions that it was trained with."""
    subjects = origin.training_subjects
    return {
        "name": origin.model,
        "split_hash": origin.split_hash,
        "leaking": origin.leaking,
        "training_subjects": None if subjects is None else sorted(subjects),
        "versions": dict(trained_with),
    }


def record_labels(file: Path, origin: Provenance | None, corrected: bool | None) -> None:
    """Note in the record of a label map's folder what was just saved there.

    Parameters
    ----------
    file
        The label map.
    origin
        The model that made the labels; None if there is none or it is unknown, which removes an
        older entry of the file.
    corrected
        Whether they were changed by hand since.

    Raises
    ------
    BadInput
        If the record cannot be read or written.
    """
    with FileSet(file.parent) as files:  # so that nobody else writes the record at the same time
        record = read_record(file.parent)
        before = record["scans"].pop(file.name, None)
        if origin is None or origin.model_hash is None:
            if before is None:
                return
        else:
            record["models"][origin.model_hash] = model_entry(origin, origin.versions)
            record["scans"][file.name] = {
                "model_hash": origin.model_hash,
                "labels_hash": file_hash(file),
                "tables": {t.name: file_hash(t) for t in label_files(file)[1:] if t.is_file()},
                "corrected_by_hand": corrected,
                "islands_dropped": origin.islands_dropped,
                "unlike_training": list(origin.unlike_training),
                "versions": versions(),
            }
        files.write_text(NAME, _text(record))


def origin_of_file(file: Path) -> tuple[Provenance | None, bool | None]:
    """Return which model made a label map, and whether it was changed since; None if unknown.

    Raises
    ------
    BadInput
        If there is a record beside it that cannot be read.
    """
    record = read_record(file.parent)
    entry = record["scans"].get(file.name)
    if entry is None:
        return None, None
    model = record["models"][entry["model_hash"]]
    subjects = model["training_subjects"]
    origin = Provenance(
        model=str(model["name"]),
        model_hash=entry["model_hash"],
        split_hash=None if model["split_hash"] is None else str(model["split_hash"]),
        leaking=bool(model["leaking"]),
        training_subjects=frozenset(subjects) if isinstance(subjects, list) else None,
        islands_dropped=entry.get("islands_dropped"),
        unlike_training=tuple(entry.get("unlike_training", ())),
    )
    corrected = entry.get("corrected_by_hand")
    fingerprint = entry.get("labels_hash")
    if fingerprint is not None and fingerprint != file_hash(file):
        corrected = True  # by another program
    return origin, corrected


def whose_labels(file: Path) -> tuple[str, str | None] | None:
    """Return subject and session of the scan that a label map was made from; None if unknown.

    Raises
    ------
    BadInput
        If there is a record beside it that cannot be read.
    """
    entry = read_record(file.parent)["scans"].get(file.name, {})
    subject, session = entry.get("subject"), entry.get("session")
    return None if subject is None else (str(subject), None if session is None else str(session))


def unlike_training(file: Path) -> tuple[str, ...]:
    """Return what the record says of how a label map's scan differs from the training scans.

    Empty where nothing is known; measuring does not need the record.
    """
    try:
        origin, _ = origin_of_file(file)
    except BadInput:
        return ()
    return () if origin is None else origin.unlike_training
