"""Files: read with care, written whole or not at all, several together, one writer in a folder."""

from napari_ssl_muscle.files.lock import LOCK, FolderLock, FolderLocked, is_empty
from napari_ssl_muscle.files.parts import (
    CannotWrite,
    file_hash,
    write_bytes,
    write_json,
    write_text,
    write_whole,
)
from napari_ssl_muscle.files.text import csv_text, json_text
from napari_ssl_muscle.files.together import FileSet, require_whole_set, write_together

__all__ = [
    "LOCK",
    "CannotWrite",
    "FileSet",
    "FolderLock",
    "FolderLocked",
    "csv_text",
    "file_hash",
    "is_empty",
    "json_text",
    "require_whole_set",
    "write_bytes",
    "write_json",
    "write_text",
    "write_together",
    "write_whole",
]
