"""By what a label map and the muscle table beside it are known to belong together.

Both carry the hash of the muscles that they were written with: the image in the description of
its header, ITK-SNAP's table in a comment. Programs that save over one of them may drop it; then
nothing is compared. Names that a person edits in the table leave its comment as it is.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.muscles.table import MuscleTable

_MARK = re.compile(rb"ssl-muscle table ([0-9a-f]{12})")
_HEADER = 540  # bytes of the longer NIfTI header
_LINES = 1024  # a table's comment is in its first lines


def table_mark(table: MuscleTable) -> str:
    """Return the mark of a table: the same for the same values and names."""
    text = "\n".join(f"{muscle.value}\t{muscle.name}" for muscle in table.muscles)
    return f"ssl-muscle table {hashlib.sha256(text.encode('utf-8')).hexdigest()[:12]}"


def require_same_mark(labels: Path, table: Path) -> None:
    """Refuse a table that was written with another label map than the one beside it.

    Raises
    ------
    BadInput
        If both carry a mark and the marks differ.
    """
    there = _mark(table, _LINES)
    here = _mark(labels, _HEADER) if there is not None else None
    if here is not None and here != there:
        raise BadInput(
            f"{table} does not belong to {labels}: it was written with labels of other muscles, so "
            "their names would be wrong; move it away, or give the right table."
        )


def _mark(path: Path, length: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            start = file.read(length)
        if start[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                start = packed.read(length)
    except (OSError, EOFError, zlib.error):
        return None  # whoever reads it says what is wrong
    found = _MARK.search(start)
    return found[1] if found else None
