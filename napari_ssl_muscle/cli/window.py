"""The command that opens the window."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from napari_ssl_muscle.cli.shell import A_PATH, DONE, main
from napari_ssl_muscle.errors import BadInput


@main.command()
@click.argument("paths", nargs=-1, type=A_PATH, metavar="[PATH]...")
@click.option("--demo", is_flag=True, help="Open a phantom scan, ready to be segmented.")
def app(paths: tuple[Path, ...], demo: bool) -> int:
    """Open napari with the workbench, and PATHs in it."""
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist; give scans or a folder of them.")
    _check_window()
    from napari_ssl_muscle.viewer.app import open_app

    open_app(paths, demo=demo)
    return DONE


def _check_window() -> None:
    from importlib.util import find_spec

    if not any(find_spec(binding) for binding in ("PyQt6", "PyQt5", "PySide6")):
        raise BadInput(
            "There is no Qt binding, so no window can open; install one with "
            'pip install "napari-ssl-muscle[pyqt6]".'
        )
    display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not display and not os.environ.get("QT_QPA_PLATFORM"):
        raise BadInput(
            "There is no display (DISPLAY is not set), so no window can open; "
            "log in with a desktop, or use a virtual one: xvfb-run ssl-muscle app."
        )
