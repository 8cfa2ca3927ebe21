"""Open the program for ``make app``; without a display, on a virtual one, for a picture of it.

Usage: tools/open_app.py PICTURE        (QT_API names the Qt binding; runs in `.venv`)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import system


def main(picture: Path) -> int:
    """Open napari with the demonstration; return its exit code."""
    command = [str(Path(sys.executable).with_name("ssl-muscle")), "app", "--demo"]
    if sys.platform != "linux" or system.has_display():
        return subprocess.run(command).returncode
    print(
        "There is no display here: starting a virtual one, pressing the button there and "
        f"saving what it shows to {picture}.",
        file=sys.stderr,
        flush=True,
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    with virtual_display() as display:
        environment = os.environ | {"DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        command += ["--screenshot", str(picture)]
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode


@contextmanager
def virtual_display() -> Iterator[str]:
    """Run an Xvfb and give the name of its display, which the server chooses itself."""
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
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
