"""Starting a process that outlives the one that started it."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from napari_ssl_muscle.jobs.process.job_folder import JobFolder


def launch(command: Sequence[str], job_folder: JobFolder) -> subprocess.Popen[bytes]:
    """Start a process that prints into the files of a job folder.

    Ctrl-C in the parent's terminal, or the parent's end, does not reach it.
    """
    flags = 0
    for name in ("CREATE_NO_WINDOW", "CREATE_NEW_PROCESS_GROUP"):  # on Windows only
        flags |= getattr(subprocess, name, 0)
    with job_folder.events.open("ab") as events, job_folder.errors.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=events,
            stderr=errors,
            env=_environment(),
            start_new_session=True,
            creationflags=flags,
        )


def _environment() -> dict[str, str]:
    """Return an environment in which the child imports this very package."""
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}
    root = str(Path(__file__).resolve().parents[3])
    # An installed package is found anyway; its folder in front would shadow the standard library.
    installed = {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    if os.path.realpath(root) not in installed:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = root if not before else os.pathsep.join([root, before])
    return environment
