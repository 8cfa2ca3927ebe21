"""The records of a journal on disk: appended one by one, each with its length and checksum.

A process may be killed in the middle of a record. Reading stops at the first one that is not
whole, so that everything before it survives.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput

MAGIC = b"muscle journal 1\n"

_LONGEST = 1 << 30  # bytes; a stroke over a whole volume takes some hundred million

_HEAD = struct.Struct("<II")  # length and CRC-32 of what follows
_NUMBER = struct.Struct("<QdI")  # number of the record, time, length of the description


@dataclass(frozen=True, eq=False)
class Record:
    """One change of labels.

    Attributes
    ----------
    number
        Counts the records of a journal, from 1; never used twice.
    time
        Seconds since 1970.
    indices
        One int32 array for each axis of the labels.
    values
        What the voxels became: as many as there are indices, or a single one for all of them.
    """

    number: int
    time: float
    indices: tuple[npt.NDArray[np.int32], ...]
    values: npt.NDArray[np.int32]

    @property
    def voxels(self) -> int:
        """How many voxels changed."""
        return self.indices[0].size

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.values.nbytes + sum(axis.nbytes for axis in self.indices)


def pack(record: Record) -> bytes:
    """Return a record as it is appended to a file."""
    arrays = (*record.indices, record.values)
    description = json.dumps([array.size for array in arrays]).encode("ascii")
    # Neighbouring voxels differ by little, and differences compress far better.
    raw = b"".join(np.diff(array, prepend=np.int32(0)).tobytes() for array in arrays)
    body = _NUMBER.pack(record.number, record.time, len(description)) + description
    body += zlib.compress(raw, 1)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read_records(path: Path) -> Iterator[Record]:
    """Read the records of a file one at a time, up to the first that is not whole.

    Raises
    ------
    BadInput
        If the file is no journal or cannot be read.
    """
    for body, _ in _scan(path):
        yield _unpack(body)


def whole_length(path: Path) -> tuple[int, int]:
    """Return how many bytes of a file are whole records, and the number of the last one."""
    length, number = 0, 0
    for body, end in _scan(path):
        length, number = end, _NUMBER.unpack_from(body)[0]
    return max(length, len(MAGIC) if path.stat().st_size >= len(MAGIC) else 0), number


def hides_records(tail: bytes) -> bool:
    """Whether what follows the last whole record is a damaged one, not one that was cut short."""
    if len(tail) < _HEAD.size:
        return False
    length, _ = _HEAD.unpack_from(tail)
    # Whole by its length with a wrong checksum; or a length that no record has.
    return bool(len(tail) >= _HEAD.size + length or length > _LONGEST)


def _scan(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of each whole record, and where it ends."""
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            if start != MAGIC:
                if MAGIC.startswith(start):
                    return  # killed before anything was written
                raise BadInput(f"{path} is no journal of this program; move it away.")
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                length, checksum = _HEAD.unpack(head)
                body = file.read(length)
                if len(body) < length or zlib.crc32(body) != checksum:
                    return
                yield body, file.tell()
    except OSError as error:
        raise BadInput(
            f"Cannot read the journal {path}: {error.strerror or error}; check the disk."
        ) from error


def _unpack(body: bytes) -> Record:
    number, time, length = _NUMBER.unpack_from(body)
    start = _NUMBER.size
    sizes = json.loads(body[start : start + length])
    raw = np.frombuffer(zlib.decompress(body[start + length :]), np.int32)
    arrays = [
        np.cumsum(part, dtype=np.int32) for part in np.split(raw, np.cumsum(sizes)[:-1].tolist())
    ]
    return Record(number, time, tuple(arrays[:-1]), arrays[-1])
