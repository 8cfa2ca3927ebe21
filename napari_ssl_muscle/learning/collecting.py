"""Large imports in a thread, without Python's garbage collector holding up all other threads."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def uncollected() -> Iterator[None]:
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
def short_lived() -> Iterator[None]:
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
