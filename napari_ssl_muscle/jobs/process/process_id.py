"""Processes that outlive the one that started them: known by number and time of start.

A number alone is not enough: systems give it to another process once the first one has ended.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

UNKNOWN_CODE = 256
"""Stands for the exit code of a process that is not our child, which no system gives."""

NICE = 10
"""Niceness of a child on POSIX systems, from 0 (none) to 19."""

_LOOK_EVERY = 0.02


class ProcessId(BaseModel):
    """What one process has and no other, as long as the computer is not set up anew."""

    model_config = ConfigDict(frozen=True)

    pid: int
    started: str
    """When it started, in a form that is only good for comparing."""


def process_id_of(pid: int) -> ProcessId | None:
    """Return the id of a process that exists (it may be a zombie); None if it does not."""
    started = _started(pid)
    return None if started is None else ProcessId(pid=pid, started=started)


def this_process() -> ProcessId:
    """Return the id of this process."""
    process_id = process_id_of(os.getpid())
    assert process_id is not None
    return process_id


def is_alive(process_id: ProcessId) -> bool:
    """Whether this process, not a later one of the same number, still runs."""
    return process_id_of(process_id.pid) == process_id and _runs(process_id.pid)


def lower_priority(pid: int) -> None:
    """Lower a process's priority, so that a window beside it stays responsive.

    On an idle computer it is as fast as before. Where the system does not allow it, nothing
    happens.
    """
    with contextlib.suppress(psutil.Error, OSError, AttributeError):
        process = psutil.Process(pid)
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else NICE)


class OtherProcess:
    """A process that another one started, with the methods of `subprocess.Popen` used here."""

    def __init__(self, process_id: ProcessId) -> None:
        self.process_id = process_id
        self.pid = process_id.pid

    def poll(self) -> int | None:
        """Return None while it runs, then `UNKNOWN_CODE`."""
        return None if is_alive(self.process_id) else UNKNOWN_CODE

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises
        ------
        subprocess.TimeoutExpired
            If it still runs after `timeout` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if until is not None and time.monotonic() >= until:
                assert timeout is not None
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(_LOOK_EVERY)
        return UNKNOWN_CODE

    def terminate(self) -> None:
        """Ask the system to end it."""
        with contextlib.suppress(psutil.Error):
            if is_alive(self.process_id):
                psutil.Process(self.pid).terminate()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(psutil.Error):
            if is_alive(self.process_id):
                psutil.Process(self.pid).kill()


if sys.platform == "linux":
    # psutil reckons from the clock, which may be set meanwhile; the kernel's count is exact.

    def _started(pid: int) -> str | None:
        fields = _stat(pid)
        return None if fields is None else f"{_boot()}:{fields[19]}"

    def _runs(pid: int) -> bool:
        fields = _stat(pid)
        return fields is not None and fields[0] not in "ZX"

    def _stat(pid: int) -> list[str] | None:
        """Return the kernel's fields after the process's name: state first, start as the 20th."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        return text.rpartition(")")[2].split()

    def _boot() -> str:
        """Return the id of this boot, as process start times count from it."""
        try:
            return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        except OSError:
            return ""

else:

    def _started(pid: int) -> str | None:
        try:
            return f"{psutil.Process(pid).create_time():.2f}"
        except psutil.Error:
            return None

    def _runs(pid: int) -> bool:
        try:
            return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:  # it is there, and another user's
            return True
