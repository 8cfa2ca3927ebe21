"""Open the program for ``make app``; without a display, on a virtual one, for a picture of it.

Usage: tools/open_app.py PICTURE        (QT_API names the Qt binding; runs in `.venv`)
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import display


def main(picture: Path) -> int:
    """Open napari with the demonstration; return its exit code."""
    if sys.platform != "linux" or display.has_display():
        command = [str(Path(sys.executable).with_name("ssl-muscle")), "app", "--demo"]
        return subprocess.run(command).returncode
    print(
        "There is no display here: starting a virtual one, pressing the button there and "
        f"saving what it shows to {picture}.",
        file=sys.stderr,
        flush=True,
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    with display.virtual_display() as environment:
        command = [sys.executable, str(Path(__file__).with_name("photograph.py")), str(picture)]
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
