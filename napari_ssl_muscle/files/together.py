"""Several files that belong together: all of one writing, whatever ends it.

Every file is first written as a part beside its place. Then a commit record names the parts and
their hashes, they are renamed, and the record goes. Up to the record the old files stand; after
it, whoever comes next renames the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import BaseModel, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files.lock import FolderLock, FolderLocked
from napari_ssl_muscle.files.parts import PART, file_hash, new_part, write_text

UNFINISHED = ".unfinished.json"
"""The commit record."""

_WRITING = ".writing.json"
_WAIT = 10.0
"""Seconds in which another one in the folder has renamed its files."""


class _Part(BaseModel):
    part: str
    hash: str


class _Commit(BaseModel):
    parts: dict[str, _Part]


class FileSet:
    """A context that writes files of one folder together, all of them or none.

    The files take their places when the context ends; after an exception none does. The folder is
    made if it is missing, and what a killed process has left unfinished there is finished first.

    Raises
    ------
    BadInput
        If the folder cannot be written; the old files stand.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._parts: dict[str, tuple[Path, str]] = {}

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(
                f"Cannot write into {self.folder}: {reason}; choose another folder."
            ) from error
        self._lock = FolderLock(self.folder, name=_WRITING, wait=_WAIT)
        try:
            _complete(self.folder)
        except BaseException:
            self._lock.release()
            raise
        return self

    def write(self, name: str, write: Callable[[Path], object]) -> str:
        """Write the part of a file, as `write_whole` does; return its hash."""
        part = new_part(self.folder / name, write)
        self._parts[name] = (part, "")
        fingerprint = file_hash(part)
        self._parts[name] = (part, fingerprint)
        return fingerprint

    def write_text(self, name: str, text: str) -> str:
        """Write the part of a text file; return its hash."""
        return self.write(name, lambda part: part.write_bytes(text.encode("utf-8")))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            if not (self.folder / UNFINISHED).exists():
                for part, _ in self._parts.values():
                    part.unlink(missing_ok=True)
            self._lock.release()

    def _commit(self) -> None:
        for name in self._parts:
            if (self.folder / name).is_dir():
                raise BadInput(f"{self.folder / name} is a folder; move it away.")
        entries = {
            name: _Part(part=part.name, hash=fingerprint)
            for name, (part, fingerprint) in self._parts.items()
        }
        write_text(self.folder / UNFINISHED, _Commit(parts=entries).model_dump_json(indent=2))
        _complete(self.folder)


def write_together(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Write several files (name → text) into a folder, all of them or none.

    Raises
    ------
    BadInput
        If the folder cannot be written; the old files stand.
    """
    with FileSet(folder) as files:
        for name, text in texts.items():
            files.write_text(name, text)
    return [folder / name for name in texts]


def require_whole_set(file: Path) -> None:
    """Finish the writing of a file to be read, if it was cut off between files of one set.

    Raises
    ------
    BadInput
        If that cannot be done: the file may belong to others than those beside it.
    """
    if not (file.parent / UNFINISHED).is_file() or file.name not in _named(file.parent):
        return
    try:
        lock = FolderLock(file.parent, name=_WRITING, wait=_WAIT)
    except FolderLocked as error:
        raise BadInput(f"{file} cannot be read now: {error}") from error
    except BadInput as error:
        raise BadInput(
            f"{file} belongs to files whose writing was cut off, so that old and new ones may lie "
            f"beside each other in {file.parent}, which cannot be written to; make them again, or "
            "copy the folder to where you may write."
        ) from error
    try:
        _complete(file.parent)
    finally:
        lock.release()


def parts_of_set(folder: Path) -> set[str]:
    """Return the names of the parts that a commit record of a folder names."""
    with contextlib.suppress(BadInput):
        if (commit := _read(folder)) is not None:
            return {entry.part for entry in commit.parts.values()}
    return set()


def _named(folder: Path) -> set[str]:
    commit = _read(folder)
    return set() if commit is None else set(commit.parts)


def _complete(folder: Path) -> None:
    """Rename the parts that a commit record names, and remove the record."""
    commit = _read(folder)
    if commit is None:
        return
    try:
        for name, entry in commit.parts.items():
            part = folder / entry.part
            if not part.exists():  # renamed already
                continue
            if file_hash(part) != entry.hash:
                raise BadInput(
                    f"{', '.join(commit.parts)} in {folder} may be of two different runs: their "
                    f"writing was cut off and {entry.part} is damaged; delete them and "
                    f"{UNFINISHED}, and make them again."
                )
            part.replace(folder / name)
        (folder / UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(
            f"Cannot write {', '.join(commit.parts)} in {folder}: {error.strerror or error}; the "
            "next command that reads or writes them goes on."
        ) from error


def _read(folder: Path) -> _Commit | None:
    path = folder / UNFINISHED
    try:
        commit = _Commit.model_validate_json(path.read_bytes())
        names = {*commit.parts, *(entry.part for entry in commit.parts.values())}
        plain = all(name and Path(name).name == name for name in names)
        if not plain or not all(e.part.startswith(PART) for e in commit.parts.values()):
            raise ValueError
    except FileNotFoundError:
        return None
    except (OSError, ValidationError, ValueError) as error:
        raise BadInput(
            f"{path} is damaged; delete it, and make the results in {folder} again."
        ) from error
    return commit
