"""One window at a time on a study."""

from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.files import FolderLock, FolderLocked

__all__ = ["LOCK", "FolderLocked", "StudyLock"]

LOCK = "lock.json"


class StudyLock(FolderLock):
    """Hold a study for this window until `release`.

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

    HELD = "The study {folder} is open in another window ({holder}); close it there first."
    UNWRITABLE = (
        "Cannot write into the study {folder}: {reason}; choose a folder that you may write to."
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name=LOCK, keep=True)
        self.note: str | None = None
        if self.without:
            self.note = (
                f"The disk of {folder} cannot lock files: "
                "take care to open the study in one window only."
            )
        elif self.before is not None:
            self.note = (
                f"The study {folder} was not closed properly by {self.before}; it is open here now."
            )
