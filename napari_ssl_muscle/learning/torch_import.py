"""The first import of torch, made so that other threads go on meanwhile.

A part of its time is the system loading libraries of hundreds of megabytes, and Python holds its
lock over all of that: a window whose worker thread imports torch stands still for 0.4 to 0.8 s (on
2 busy cores). Loaded beforehand through a foreign call, for which Python lets go of the lock, and
without a garbage collection meanwhile, less than 0.1 s is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import threading
from pathlib import Path

from napari_ssl_muscle.learning.collecting import uncollected

_LIBRARIES = ("libc10", "libtorch_cpu", "libtorch_python")
_one_at_a_time = threading.Lock()


def import_torch() -> None:
    """Import torch, for a thread beside which others must go on. Does nothing the second time."""
    with _one_at_a_time:
        if "torch" in sys.modules:
            return
        if sys.platform != "win32":  # Windows' torch does it itself
            # Whatever fails here, the import says it better.
            with contextlib.suppress(OSError, AttributeError, ValueError):
                _load_libraries()
        with uncollected():
            import torch  # noqa: F401


def _load_libraries() -> None:
    spec = importlib.util.find_spec("torch")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    ending = ".dylib" if sys.platform == "darwin" else ".so"
    # By the C function: ctypes' own way of loading keeps the lock.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for place in places:
        for name in _LIBRARIES:
            path = Path(place) / "lib" / (name + ending)
            if path.is_file():
                dlopen(os.fsencode(path), os.RTLD_NOW)
