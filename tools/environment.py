"""Make the project's environment `.venv` and install system libraries; standard library only.

``tools/setup app [pyqt5|pyqt6]`` prepares for using the program, ``tools/setup test`` for its
tests. A stamp inside `.venv` remembers what was installed, so that a second call takes a moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

# -I keeps the folder of this script off the path, so that nothing there hides the standard library.
sys.path.insert(1, str(Path(__file__).resolve().parent))

import display
import system

ROOT = Path(__file__).resolve().parents[1]
STAMP = "napari-ssl-muscle.json"
USAGE = "usage: tools/setup app|test [pyqt5|pyqt6]"


def main(arguments: list[str]) -> int:
    """Prepare for `app` or `test`; return the exit code. An error is printed as one sentence."""
    extras = wanted_extras(arguments)
    if extras is None:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        folder = ROOT / ".venv"
        if sys.platform == "linux":
            # Whether the display answers is known only with its library, hence a second look.
            for _ in range(2):
                virtual = "dev" in extras or not display.has_display()
                system.ensure(virtual, environments=not works(interpreter(folder)))
        python = ensure_environment(folder)
        ensure_packages(python, extras)
        if sys.platform == "linux":
            system.check_qt_plugins(python)
    except system.SetupError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def wanted_extras(arguments: list[str]) -> set[str] | None:
    """Return the extras of pyproject.toml that a request needs; None for an unknown request."""
    match arguments:
        case ["test"]:
            return {"pyqt5", "pyqt6", "dev", "all"}
        case ["app"]:
            return {"pyqt5", "all"}
        case ["app", ("pyqt5" | "pyqt6") as binding]:
            return {binding, "all"}
    return None


def ensure_environment(folder: Path) -> Path:
    """Return the Python of the virtual environment in `folder`, which is made if there is none."""
    python = interpreter(folder)
    if works(python):
        return python
    if folder.exists() and not (folder / "pyvenv.cfg").is_file():
        raise system.SetupError(
            f"{folder} is no virtual environment: move it away and run this again."
        )
    report(f"Making {folder} with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)])
    if made.returncode or not works(python):
        raise system.SetupError(
            f"Python could not make a virtual environment in {folder}; what it said is above."
        )
    return python


def interpreter(folder: Path) -> Path:
    """Return where the Python of the virtual environment in `folder` is, if it is there."""
    return folder / "bin" / "python"


def works(python: Path) -> bool:
    """Return whether this is a Python ≥ 3.11 with pip (an interrupted set-up leaves less)."""
    question = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", question], capture_output=True).returncode == 0
    except OSError:
        return False


def ensure_packages(python: Path, extras: set[str]) -> None:
    """Install the project, editable, with these extras, unless the stamp records it as done.

    Raises
    ------
    SetupError
        If pip fails.
    """
    stamp = python.parents[1] / STAMP
    wanted = fingerprint(ROOT)
    before = read_stamp(stamp)
    if before.get("fingerprint") == wanted and extras <= set(before.get("extras", ())):
        return
    # What was once installed stays up to date: the tests' tools do not get lost by `make app`.
    extras = extras | set(before.get("extras", ()))
    stamp.unlink(missing_ok=True)
    report(
        f"Installing the program ({', '.join(sorted(extras))}): up to some hundred megabytes, "
        "the first time; this takes minutes"
    )
    target = f"{ROOT}[{','.join(sorted(extras))}]"
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--editable", target, "--constraint", str(ROOT / "constraints.txt")]
    if not sys.stderr.isatty():
        command.append("--quiet")  # bars are for people who watch
    if subprocess.run(command).returncode:
        raise system.SetupError(
            "pip could not install the program; what it said is above. It needs the internet: "
            "check the connection (or the proxy settings) and run this again."
        )
    content = {"fingerprint": wanted, "extras": sorted(extras)}
    stamp.write_text(json.dumps(content) + "\n", encoding="utf-8")


def fingerprint(root: Path) -> str:
    """Return a hash of everything that pip's result depends on; settings of other tools do not."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [project["project"], project["build-system"], project["tool"]["hatch"], str(root)]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    digest.update((root / "constraints.txt").read_bytes())
    return digest.hexdigest()


def read_stamp(stamp: Path) -> dict[str, Any]:
    """Return the stamp of the last complete installation; empty if there was none."""
    try:
        content = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def report(sentence: str) -> None:
    """Print what is about to take a while."""
    print(f"{sentence} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # The environment may be somebody else's; ours is made afresh from this Python.
    os.environ.pop("PYTHONHOME", None)
    sys.exit(main(sys.argv[1:]))
