"""The header of a safetensors file, read without torch and trusting nothing in it.

Such a file is eight bytes with the length of the header (little-endian), the header as JSON (for
each tensor its type, shape and offsets, and a table of strings called `__metadata__`), then the
numbers, without gaps. Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput

_LARGEST_HEADER = 16 * 2**20  # a card and a few hundred tensors take some ten thousand bytes
_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2, "I8": 1, "U8": 1}


@dataclass(frozen=True)
class Header:
    """The header of a safetensors file.

    `tensors` maps a name to type (as safetensors writes it) and shape, in the file's order.
    """

    tensors: dict[str, tuple[str, tuple[int, ...]]]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file, trusting nothing in it.

    Raises
    ------
    BadInput
        If the file is missing, a pickle, truncated or anything but safetensors.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = file.seek(0, 2)
            length = int.from_bytes(start, "little")
            if size < 8 or not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                # Asked only now: a small length may begin with the same two bytes.
                if start.startswith((b"PK\x03\x04", b"\x80")):
                    raise BadInput(
                        f"{path} is a PyTorch pickle, which may run any program when it is opened; "
                        "turn a reference checkpoint into a model with ssl-muscle import-reference."
                    )
                raise no_model(path, "it is cut off or no safetensors file")
            file.seek(8)
            text = file.read(length)
    except OSError as error:
        raise BadInput(
            f"Cannot read the model {path}: {error.strerror or error}; choose another file."
        ) from error
    try:
        header, end = _parse(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise no_model(path, "its header cannot be read") from error
    if 8 + length + end != size:
        raise no_model(path, "it is cut off or has something appended")
    return header


def _parse(text: bytes) -> tuple[Header, int]:
    """Return the header and where its last tensor ends, in bytes after the header."""
    content = json.loads(text)
    metadata = content.pop("__metadata__", {})
    if any(not isinstance(value, str) for value in metadata.values()):
        raise TypeError("metadata must be strings")
    tensors, used, end = {}, 0, 0
    for name, entry in content.items():
        shape = tuple(entry["shape"])
        first, last = entry["data_offsets"]
        if any(type(n) is not int or n < 0 for n in (*shape, first, last)):
            raise ValueError("shapes and offsets must be whole numbers")
        if last - first != math.prod(shape) * _BYTES[entry["dtype"]]:
            raise ValueError("a tensor's offsets do not fit its shape")
        tensors[name] = (entry["dtype"], shape)
        used, end = used + last - first, max(end, last)
    if used != end:
        raise ValueError("tensors overlap or leave gaps")
    return Header(tensors, metadata), end


def no_model(path: Path, why: str) -> BadInput:
    """Return the error that says why a file is no model."""
    return BadInput(f"{path} is no model of this program: {why}; choose a .safetensors model file.")
