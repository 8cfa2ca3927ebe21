"""Imports in a thread beside which a window must go on: torch's first, and garbage collection.

A part of the time of importing torch is the system loading libraries of hundreds of megabytes,
and Python holds its lock over all of that: a window whose worker thread imports torch stands still
for 0.4 to 0.8 s (on 2 busy cores). Loaded beforehand through a foreign call, for which Python lets
go of the lock, and without a garbage collection meanwhile, less than 0.1 s is left.
`collection_deferred` and `garbage_collected_at_once` keep a full collection, which holds the lock
as well, from starting during an import and because of a drawing.
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
_import_lock = threading.Lock()
_collector_lock = threading.RLock()


def import_torch() -> None:
    """Import torch, for a thread beside which others must go on. Does nothing the second time."""
    with _import_lock:
        if "torch" in sys.modules:
            return
        if sys.platform != "win32":  # Windows' torch does it itself
            # Whatever fails here, the import reports it better.
            with contextlib.suppress(OSError, AttributeError, ValueError):
                _load_libraries()
        with collection_deferred():
            import torch  # noqa: F401


def _load_libraries() -> None:
    spec = importlib.util.find_spec("torch")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    # By the C function: ctypes' own way of loading keeps the lock.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for folder in folders:
        for name in _LIBRARIES:
            path = Path(folder) / "lib" / (name + suffix)
            if path.is_file():
                dlopen(os.fsencode(path), os.RTLD_NOW)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Switch the collector off, one thread at a time; whoever had it off finds it off."""
    with _collector_lock:
        was_on = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if was_on:
                gc.enable()


@contextmanager
def collection_deferred() -> Iterator[None]:
    """Collect no garbage during an import, and count the objects made meanwhile as old.

    A full collection holds Python's lock for 0.15 to 0.2 s in a napari with one scan, and importing
    torch or matplotlib in a thread sets one off (measured: a window without a reaction for 0.19 s,
    0.03 s without the collection). Looked through as young objects afterwards, the hundred
    thousands of an import would cost as much. To be used once for an import and not for work that
    is repeated: cycles that become garbage inside wait for the next full collection.
    """
    with _collector_off():
        try:
            yield
        finally:
            gc.freeze()  # everything is in no generation now …
            gc.unfreeze()  # … and now in the oldest


@contextmanager
def garbage_collected_at_once() -> Iterator[None]:
    """Make many objects that are garbage at the end, and leave none of them.

    A figure of matplotlib is tens of thousands of objects in cycles. Looked through by the
    collector while it is painted, they would grow old and soon set off a full collection.
    """
    with _collector_off():
        try:
            yield
        finally:
            gc.collect(0)  # all that was made inside is young still: some milliseconds
