"""Files that are written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file through a temporary one beside it, so that nobody ever sees half of it.

    Parameters
    ----------
    path
        Where the file goes. Its folder is made if it is missing.
    write
        Writes everything to the path that it is given. That path ends like `path`, because
        many writers choose their format by the suffix.

    Raises
    ------
    BadInput
        If the folder cannot be made or written to.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=f"-{path.name}")
        os.close(handle)
    except OSError as error:
        raise BadInput(
            f"Cannot write {path}: {error.strerror or error}; "
            "choose a folder that you may write to."
        ) from error
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        # mkstemp makes files that only their owner can read; give what open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except OSError as error:
        raise BadInput(
            f"Cannot write {path}: {error.strerror or error}; "
            "free some space or choose another folder."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all."""
    write_whole(path, lambda part: part.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with plain newlines, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def file_hash(path: Path) -> str:
    """Return the first twelve digits of a file's SHA-256: by it a model file is known."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def json_text(content: Any) -> str:
    """Return `content` as indented JSON; NaN and infinite numbers, which it lacks, become null."""
    return json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a heading: None is an empty field, an infinite number is "inf".

    pandas, R and spreadsheets read both as what they are. Numbers keep eight digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_field(row[column]) for column in columns])
    return text.getvalue()


def write_together(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write several files (name → text) into a folder, all of them or none.

    Raises
    ------
    BadInput
        If the folder cannot be written; the files written so far are taken away again.
    """
    written: list[Path] = []
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
            written.append(folder / name)
    except BadInput:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return content


def _field(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.8g}"
    return value
