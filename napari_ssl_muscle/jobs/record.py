"""`segment.json`: which model made which label map of a folder, and what was said about it.

It is how an evaluation knows where the predictions come from.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from napari_ssl_muscle.learning.cards import ModelCard
from napari_ssl_muscle.scans.errors import BadInput
from napari_ssl_muscle.scans.files import write_json

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


def model_entry(card: ModelCard) -> dict[str, Any]:
    """Return what the record says of a model."""
    return {
        "name": card.name,
        "split_hash": card.split_hash,
        "leaking": card.leaking,
        "training_subjects": card.training_subjects,
        "versions": card.versions,
    }


def model_hash(path: Path) -> str:
    """Return the first twelve digits of the SHA-256 of a model file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
