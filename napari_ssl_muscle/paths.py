"""The program's folder in the user's home, and what lies in it.

All of it is somebody's work or says where work is going on, so nothing may move to a cache folder
of the system, which is emptied by cleaners; only the speeds could be measured anew.
"""

from __future__ import annotations

from pathlib import Path


def user_folder() -> Path:
    """Return `~/ssl-muscle`; it is made when something is first written there."""
    return Path.home() / "ssl-muscle"


def drafts_folder() -> Path:
    """Return where corrections are before their scan is in a study."""
    return user_folder() / "drafts"


def studies_folder() -> Path:
    """Return where the studies of scans without a file are."""
    return user_folder() / "studies"


def runs_folder() -> Path:
    """Return where a training's folder is proposed, and where models are looked for."""
    return user_folder() / "runs"


def running_folder() -> Path:
    """Return where jobs are that a window has started."""
    return user_folder() / "running"


def speed_file() -> Path:
    """Return where the measured speeds of this computer are kept."""
    return user_folder() / "speed.json"
