"""Whether windows can be shown here, and a virtual display where they cannot.

Usage: tools/display.py COMMAND ...      runs a command that shows windows, display or not
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from system import is_loadable


def main(command: list[str]) -> int:
    """Run a command, on a virtual display if there is no other; return its exit code."""
    if sys.platform != "linux" or has_display():
        return subprocess.run(command).returncode
    with virtual_display() as environment:
        return subprocess.run(command, env=environment).returncode


def has_display() -> bool:
    """Return whether windows can be shown: a Wayland session, or an X server that answers."""
    if os.environ.get("WAYLAND_DISPLAY"):
        return True
    if not os.environ.get("DISPLAY") or not is_loadable("libX11.so.6"):
        return False
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    display = x11.XOpenDisplay(None)
    if display:
        x11.XCloseDisplay(display)
    return bool(display)


@contextmanager
def virtual_display() -> Iterator[dict[str, str]]:
    """Run Xvfb and yield the environment for programs on its display."""
    # The server chooses a free number and writes it into the pipe.
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        # The number comes once the server is ready; nothing at all if it gave up.
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise SystemExit("The virtual display (Xvfb) did not start.")
        yield os.environ | {"DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
