"""Whether an error means that there was not enough memory; asked without importing torch."""

from __future__ import annotations

import errno

_WORDS = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # PyTorch on a Linux or Apple CPU
    "not enough memory",  # PyTorch on a Windows CPU
    "alloc_cpu",
    "_status_alloc_failed",  # cuDNN, cuBLAS
    "bad_alloc",
    "bad allocation",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether there was not enough memory, of the computer or of its GPU."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return any(word in str(error).lower() for word in _WORDS)
