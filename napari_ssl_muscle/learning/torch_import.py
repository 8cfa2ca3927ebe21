"""The first import of torch, made so that other threads go on meanwhile.

A part of its time is the system loading libraries of hundreds of megabytes, and Python holds its
lock over all of that: a window whose worker thread imports torch stands still for 0.4 to 0.8 s (on
2 busy cores). Loaded beforehand through a foreign call, for which Python lets go of the lock, and
without a garbage collection meanwhile, less than 0.1 s is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
        with collection_deferred():
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


_lock = threading.RLock()


@contextmanager
def collection_deferred() -> Iterator[None]:
    """Let the garbage collector wait, and count what comes meanwhile as old.

    A full collection holds Python's lock for 0.15 to 0.2 s in a napari with one scan, and importing
    torch or matplotlib in a thread sets one off (measured: a window without a reaction for 0.19 s,
    0.03 s without the collection). Looked through as young objects afterwards, the hundred
    thousands of an import would cost as much. To be used once for an import and not for work that
    is repeated: cycles that become garbage inside wait for the next full collection.
    """
    with _lock:
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            gc.freeze()  # everything is in no generation now …
            gc.unfreeze()  # … and now in the oldest
            if was_on:
                gc.enable()


@contextmanager
def garbage_collected_at_once() -> Iterator[None]:
    """Make many objects that are garbage at the end, and leave none of them.

    A figure of matplotlib is tens of thousands of objects in cycles. Looked through by the
    collector while it is painted, they would grow old and soon set off a full collection.
    """
    with _lock:
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            gc.collect(0)  # all that was made inside is young still: some milliseconds
            if was_on:
                gc.enable()
