"""One window at a time on a study: a lock that ends with the process that holds it.

The operating system keeps the lock, so that a killed process never leaves a study locked; who
holds it, and since when, stands in the file for the sentence that another window shows. The
filelock library locks the first byte on Windows, which hides that text.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import weakref
from pathlib import Path
from typing import IO, Any

from napari_ssl_muscle.errors import BadInput

LOCK = "lock.json"

# Windows locks bytes, and nobody else can read those: one far behind the text is taken.
_BYTE = 1 << 20


class FolderLocked(BadInput):
    """Another window holds the folder."""


class StudyLock:
    """Hold a folder for this window until `release`.

    Attributes
    ----------
    note
        A sentence if the window before did not end properly, or the folder's disk knows no locks.

    Raises
    ------
    FolderLocked
        If another window holds the folder.
    BadInput
        If it cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self.note: str | None = None
        path = folder / LOCK
        try:
            file = path.open("a+b")
        except OSError as error:
            raise BadInput(
                f"Cannot write into the study {folder}: {error.strerror or error}; "
                "choose a folder that you may write to."
            ) from error
        before = _holder(path)
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            file.close()
            raise FolderLocked(
                f"The study {folder} is open in another window ({before or 'on this machine'}); "
                "close it there first."
            ) from None
        except OSError:  # some network disks know no locks
            self.note = (
                f"The disk of {folder} cannot lock files: "
                "take care to open the study in one window only."
            )
        if before is not None and self.note is None:
            self.note = (
                f"The study {folder} was not closed properly by {before}; it is open here now."
            )
        file.truncate(0)
        file.write(json.dumps(_self()).encode("utf-8"))
        file.flush()
        self.release = weakref.finalize(self, _release, file)
        """Release the folder; a second call does nothing."""


def _self() -> dict[str, Any]:
    now = datetime.datetime.now().astimezone()
    return {
        "pid": os.getpid(),
        "computer": platform.node(),
        "since": now.isoformat(timespec="seconds"),
    }


def _holder(path: Path) -> str | None:
    """Return who holds or held the lock; None where it was released properly."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.datetime.fromisoformat(content["since"])
        return f"process {content['pid']} on {content['computer']}, since {since:%d %b %H:%M}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _release(file: IO[bytes]) -> None:
    # The file stays: deleting it could take it from a window that has just locked it.
    file.truncate(0)
    file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
