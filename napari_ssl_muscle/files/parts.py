"""One file, written whole or not at all: first as a part beside it, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput

PART = ".part-"
"""How the name of a file begins that is being written."""

_HOST = hashlib.sha256(platform.node().encode("utf-8")).hexdigest()[:8]

_swept: set[Path] = set()
"""Folders in which this process has looked for parts of dead ones."""


class CannotWrite(BadInput):
    """A file cannot be written; the system's error is its cause."""


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
    part = new_part(path, write)
    try:
        part.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def new_part(path: Path, write: Callable[[Path], object]) -> Path:
    """Write what a file shall hold into a part beside it, safe on disk; return the part.

    Raises
    ------
    BadInput
        If it cannot be written; then there is no part.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        # The end of the name, because the whole one may be as long as a name can be.
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f"{PART}{_HOST}-{os.getpid()}-", suffix=f"-{path.name[-40:]}"
        )
        os.close(handle)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise _cannot_write(path, error, "choose a folder that you may write to") from error
    part = Path(name)
    try:
        write(part)
        with part.open("rb+") as written:
            os.fsync(written.fileno())
        part.chmod(_mode_of(path))
    except OSError as error:
        part.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return part


def sweep(folder: Path) -> None:
    """Remove what killed processes of this computer were writing in a folder, once a process."""
    if folder in _swept:
        return
    _swept.add(folder)
    from napari_ssl_muscle.files.together import parts_of_set

    with contextlib.suppress(OSError):
        kept = parts_of_set(folder)
        for part in folder.glob(f"{PART}{_HOST}-*"):
            writer = part.name.removeprefix(f"{PART}{_HOST}-").partition("-")[0]
            if part.name not in kept and writer.isdecimal() and not is_running(int(writer)):
                part.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether a process of this computer is alive."""
    import psutil

    return bool(psutil.pid_exists(pid))


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
    """Return the first twelve digits of a file's SHA-256: by it a file is known."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def _mode_of(path: Path) -> int:
    """Return the permissions that a file has, or that open() would give a new one."""
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _cannot_write(
    path: Path, error: Exception, way_out: str = "free some space or choose another folder"
) -> CannotWrite:
    reason = getattr(error, "strerror", None) or error
    return CannotWrite(f"Cannot write {path}: {reason}; {way_out}.")
