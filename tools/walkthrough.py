"""Sessions of a person at a real window, with real clicks and keys, and pictures of every step.

Usage: tools/walkthrough.py PICTURES [--only SESSION] [--size WIDTHxHEIGHT] [--scan FILE ...]

The sessions: one scan from opening it to saving its labels, on the leg phantom or on ``--scan``;
two patients open at once; unsaved work restored after kill -9. All goes through the buttons and
keys that a person uses. A step that does not do what it should ends the session with exit code 1.
Windows are shown: without a display, run it through tools/display.py, as ``make walkthrough`` does.
Home and study are new folders inside PICTURES, so that nothing of the user's own is touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from sessions import killed, one_scan, two_patients

SESSIONS = ("one-scan", "two-patients", "killed")


def main() -> int:
    """Run the sessions; return 0 if every step did what it should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--only", choices=SESSIONS, help="run this session only")
    parser.add_argument("--size", help="of the window in pixels, such as 1280x800")
    parser.add_argument("--scan", type=Path, help="a scan or a cohort's folder; default: phantom")
    parser.add_argument("--model", help="the model to begin with; default: what fits the scan")
    parser.add_argument("--accept", type=int, default=16, help="slices to accept")
    parser.add_argument("--minutes", type=float, default=0.3, help="time to fine-tune")
    given = parser.parse_args()
    size = None
    if given.size is not None:
        width, _, height = given.size.partition("x")
        size = int(width), int(height)
    pictures = given.pictures.absolute()
    shutil.rmtree(pictures, ignore_errors=True)
    for session in SESSIONS if given.only is None else (given.only,):
        # The pictures of the first one lie where they always did.
        place = pictures if session == SESSIONS[0] else pictures / session
        place.mkdir(parents=True)
        os.environ["HOME"] = str(place)
        print(f"--- {session}")
        if session == "two-patients":
            two_patients.run(place, size)
        elif session == "killed":
            killed.run(place, size)
        else:
            scan = None if given.scan is None else _copy(given.scan, place / "scans")
            one_scan.run(place, size, scan, given.model, given.accept, given.minutes)
    return 0


def _copy(scan: Path, place: Path) -> Path:
    """Copy a scan, its labels and tables: a study and labels will be written beside it."""
    place.mkdir()
    for file in scan.parent.glob(scan.name.removesuffix(".nii.gz") + "*.nii.gz"):
        shutil.copyfile(file, place / file.name)
    for table in scan.parent.glob("*.label"):
        shutil.copyfile(table, place / table.name)
    return place / scan.name


if __name__ == "__main__":
    sys.exit(main())
