"""A window is killed (kill -9) after strokes; the next one offers the work back, with its names.

The first window is a process of its own, `python killed.py SCAN FOLDER`, which draws until it is
killed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import read_table
from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
from sessions.walker import Walkthrough, check

DRAWN = "everything is drawn"


def run(pictures: Path, size: tuple[int, int] | None) -> None:
    """Go through the session; parameters as of `one_scan.run`."""
    cohort = pictures / "cohort"
    write_phantom(cohort, PhantomSettings(subjects=1, sessions=1))
    (scan,) = cohort.glob("sub-*/**/anat/*T1w.nii.gz")
    _draw_and_die(scan, pictures)
    drawn = np.load(pictures / "drawn.npy")
    person = Walkthrough(pictures, size)
    answer = _Answer(person)
    person.open_files(scan)
    person.until(lambda: answer.given, "the question about unsaved work")
    correct = person.bench.correct
    person.show(correct)
    now = correct.corrections
    assert now is not None
    layer = now.layer
    check(np.array_equal(layer.data, drawn), "every voxel is back")
    check(now.table is not None and "gracilis" in now.table.names, "the muscles have names")
    check("gracilis" in correct.muscles.text(), "the form shows them")
    person.picture("restored")
    layer.undo()
    person.rest(600)
    check(np.array_equal(layer.data, drawn), "undo does not go behind what was restored")
    target = pictures / "restored_dseg.nii.gz"
    person.show(person.bench.segment)
    person.bench.segment.saving.path.value = str(target)
    person.press(person.bench.segment.saving.save_button)
    names = read_table(target.with_name("restored_dseg.tsv")).names
    check("gracilis" in names, "the names are saved with the labels")
    person.picture("saved")
    person.viewer.close()


class _Answer:
    """Clicks "Restore" in the dialog as soon as it is there, after a picture of it."""

    def __init__(self, person: Walkthrough) -> None:
        self.given = False
        self._person = person
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(200)

    def _look(self) -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            return
        self._timer.stop()
        box.grab().save(str(self._person.pictures / "dialog.png"))
        button = next(each for each in box.buttons() if each.text().strip("&") == "Restore")
        print("press  Restore")
        button.click()
        self.given = True


def _draw_and_die(scan: Path, folder: Path) -> None:
    """Run a window that draws, and kill it when all of that is on the disk."""
    child = subprocess.Popen(
        [sys.executable, __file__, str(scan), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    said = ""
    for line in child.stdout:
        said = line.strip()
        print(f"       {said}")
        if said == DRAWN:
            break
    child.kill()
    child.wait()
    check(said == DRAWN and child.returncode == -9, "the first window was killed")


def _draw(scan: Path, folder: Path) -> None:
    """Segment and draw in a window of this process, and wait to be killed."""
    person = Walkthrough(folder / "before")
    person.open_files(scan)
    layer = person.segment()
    person.show(person.bench.correct)
    layer.mode, layer.brush_size = "paint", 8
    for _ in range(2):
        person.key("N")
        person.mend(layer)
    now: Any = person.bench.correct.corrections
    assert info_of(unwrap(layer)) is not None
    now.record_changes()
    now.store._journal.flush()
    np.save(folder / "drawn.npy", layer.data)
    print(DRAWN, flush=True)
    person.rest(600_000)


if __name__ == "__main__":
    _draw(Path(sys.argv[1]), Path(sys.argv[2]))
