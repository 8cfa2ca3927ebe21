"""One writer at a time in a folder: a lock that ends with the process that holds it.

The operating system keeps the lock, so that a killed process never leaves a folder locked; who
holds it, and since when, stands in the file for the sentence that the second one shows. The
filelock library locks the first byte on Windows, which hides that text.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import sys
import time
import weakref
from pathlib import Path
from typing import IO, Any

from napari_ssl_muscle.errors import BadInput

LOCK = ".lock.json"

# Windows locks bytes, and nobody else can read those: one far behind the text is taken.
_BYTE = 1 << 20
_TEXT = 4096  # bytes; more is no lock's text


class FolderLocked(BadInput):
    """Another process or window holds the folder."""


class FolderLock:
    """Hold a folder until `release`.

    Parameters
    ----------
    folder
        It exists.
    name
        Of the lock's file, one for each purpose.
    wait
        Seconds to wait for whoever holds it.
    keep
        Leave the lock's file behind on release, as programs expect it that do not look whether
        the file is still there once they hold it.

    Attributes
    ----------
    before
        Who held the folder and did not release it; None if it was released properly.
    without
        Whether the folder's disk knows no locks.

    Raises
    ------
    FolderLocked
        If another one holds the folder.
    BadInput
        If it cannot be written to.
    """

    HELD = (
        "Another job is writing into {folder} ({holder}); wait until it has ended, or choose "
        "another folder."
    )
    UNWRITABLE = "Cannot write into {folder}: {reason}; choose a folder that you may write to."

    def __init__(
        self, folder: Path, *, name: str = LOCK, wait: float = 0.0, keep: bool = False
    ) -> None:
        path = folder / name
        until = time.monotonic() + wait
        while True:
            try:
                held = self._try(folder, path)
            except FolderLocked:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.02)
                continue
            if held is not None:
                break
        self.release = weakref.finalize(self, _release, held, None if keep else path)
        """Release the folder; a second call does nothing."""

    def _try(self, folder: Path, path: Path) -> IO[bytes] | None:
        """Return the open file that is the lock; None if it was deleted just before."""
        try:
            # Unbuffered: closing must not try to write again what a full disk did not take.
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise self._unwritable(folder, error) from error
        try:
            self.before = _holder(path)
            self.without = False
            try:
                _lock(file)
            except (BlockingIOError, PermissionError):
                holder = self.before or "on this machine"
                raise FolderLocked(self.HELD.format(folder=folder, holder=holder)) from None
            except OSError:  # some network disks know no locks
                self.without = True
            if not self.without and not _is_at(file, path):
                file.close()
                return None
            file.truncate(0)
            file.write(json.dumps(_self()).encode("utf-8"))
            file.flush()
        except OSError as error:
            file.close()  # or the exception would keep the folder locked
            raise self._unwritable(folder, error) from error
        except BaseException:
            file.close()
            raise
        return file

    def _unwritable(self, folder: Path, error: OSError) -> BadInput:
        return BadInput(self.UNWRITABLE.format(folder=folder, reason=error.strerror or error))


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder, but for a lock."""
    return all(path.name == LOCK for path in folder.iterdir())


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
        with path.open("rb") as file:
            content = json.loads(file.read(_TEXT))
        since = datetime.datetime.fromisoformat(content["since"])
        return f"process {content['pid']} on {content['computer']}, since {since:%d %b %H:%M}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _release(file: IO[bytes], path: Path | None) -> None:
    with contextlib.suppress(OSError):
        file.truncate(0)
    if path is not None:
        with contextlib.suppress(OSError):  # Windows deletes no open file
            path.unlink()
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
