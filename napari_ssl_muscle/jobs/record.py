"""`segment.json`: which model made which label map of a folder, for the report of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import Provenance, versions
from napari_ssl_muscle.files import file_hash, write_json

NAME = "segment.json"

_FORMAT = 1


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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        models, scans = content["models"], content["scans"]
        if content["format"] != _FORMAT or not isinstance(models, dict | list):
            raise ValueError
        if not all(entry["model_hash"] in models for entry in scans.values()):
            raise ValueError
    except FileNotFoundError:
        return {"format": _FORMAT, "models": {}, "scans": {}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path} is no record of this program or of a newer one; "
            "move it away or choose another folder."
        ) from error
    return {"format": _FORMAT, "models": models, "scans": scans}


def write_record(folder: Path, record: dict[str, Any]) -> Path:
    """Write the record of a folder, whole or not at all; return its path."""
    write_json(folder / NAME, record)
    return folder / NAME


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
            "corrected_by_hand": corrected,
            "islands_dropped": origin.islands_dropped,
            "versions": versions(),
        }
    write_record(file.parent, record)


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
