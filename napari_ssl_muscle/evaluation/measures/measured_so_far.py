"""What a measurement of many label maps has found, kept so that it can go on after a stop."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.figures import Measurement

NAME = "measuring.jsonl"
"""A line for each label map, in the folder of the tables; it goes when these are written."""

_MEASUREMENT = TypeAdapter(Measurement)


class MeasuredSoFar:
    """Measurements by what they were taken from.

    Parameters
    ----------
    folder
        Of the tables.
    go_on
        Whether what an earlier run has left there is read; else it is forgotten.
    """

    def __init__(self, folder: Path, *, go_on: bool) -> None:
        self.path = folder / NAME
        self._found: dict[str, Measurement] = {}
        if go_on:
            self._read()
        else:
            self.forget()

    def get(self, key: dict[str, Any]) -> Measurement | None:
        """Return what was measured under a key."""
        return self._found.get(json.dumps(key, sort_keys=True))

    def add(self, key: dict[str, Any], found: Measurement) -> None:
        """Keep a measurement under a key, which says all that the figures depend on.

        Raises
        ------
        BadInput
            If the folder cannot be written.
        """
        line = {
            "key": json.dumps(key, sort_keys=True),
            "found": _MEASUREMENT.dump_python(found, mode="json"),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise BadInput(
                f"Cannot write {self.path}: {error.strerror or error}; "
                "choose a folder that you may write to."
            ) from error

    def forget(self) -> None:
        """Remove the file: the tables are written, or everything is measured anew."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _read(self) -> None:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        for line in lines:
            # The last line may be half a one, and another version may have written them.
            with contextlib.suppress(ValueError, KeyError, TypeError, ValidationError):
                entry = json.loads(line)
                self._found[entry["key"]] = _MEASUREMENT.validate_python(entry["found"])
