"""One session in a real window, with real clicks and keys, and a picture of every step.

Usage: tools/walkthrough.py PICTURES [--scan FILE --model MODEL] [--minutes M] [--accept N]

Open, segment, paint, accept, fine-tune on what was accepted, keep a model, segment again, evaluate,
measure, save, undo: everything through the buttons and keys that a person uses. Where the scan has
ground truth, the rest of each slice is then drawn as it is there. Without ``--scan`` on the leg
phantom. A step that does not do what it should ends the session with exit code 1.
Windows are shown: without a display, run it through tools/display.py, as ``make walkthrough`` does.
Home and study are new folders inside PICTURES, so that nothing of the user's own is touched.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from robot import Robot

from napari_ssl_muscle.viewer.app import open_window


class Walkthrough(Robot):
    """The robot at the workbench; its pictures are numbered.

    Parameters
    ----------
    pictures
        Folder for the pictures.
    """

    def __init__(self, pictures: Path) -> None:
        viewer, self.bench = open_window()
        self._pictures, self._count = pictures, 0
        super().__init__(viewer)

    def show(self, form: Any) -> None:
        """Go to a form: its step's button, then its tab."""
        for index, (_, step) in enumerate(self.bench.steps):
            for number, (_, there) in enumerate(step.forms):
                if there is form:
                    self.press(self.bench.buttons.button(index))
                    if step.tabs is not None:
                        self.click_tab(step.tabs.tabBar(), number)

    def picture(self, name: str) -> None:
        """Take the next picture of the whole window."""
        self._count += 1
        path = self._pictures / f"{self._count:02d}-{name}.png"
        self.save_picture(path)
        print(f"       {path.name}")


def main() -> int:
    """Run the session; return 0 if every step did what it should."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--scan", type=Path, help="a scan or a cohort's folder; default: phantom")
    parser.add_argument("--model", help="the model to begin with; default: what fits the scan")
    parser.add_argument("--accept", type=int, default=16, help="slices to accept")
    parser.add_argument("--minutes", type=float, default=0.3, help="time to fine-tune")
    given = parser.parse_args()
    pictures = given.pictures.absolute()
    shutil.rmtree(pictures, ignore_errors=True)
    pictures.mkdir(parents=True)
    scan = None
    if given.scan is not None:
        # A copy: a study and labels will be written beside it.
        place = pictures / "scans"
        place.mkdir()
        for file in given.scan.parent.glob(given.scan.name.removesuffix(".nii.gz") + "*.nii.gz"):
            shutil.copyfile(file, place / file.name)
        for table in given.scan.parent.glob("*.label"):
            shutil.copyfile(table, place / table.name)
        scan = place / given.scan.name
    os.environ["HOME"] = str(pictures)
    run(pictures, scan, given.model, given.accept, given.minutes)
    return 0


def run(pictures: Path, scan: Path | None, model: str | None, accept: int, minutes: float) -> None:
    """Go through the session."""
    import numpy as np
    from qtpy.QtCore import Qt

    from napari_ssl_muscle.learning.models.card import find_model
    from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap
    from napari_ssl_muscle.viewer.widgets import dialogs

    person = Walkthrough(pictures)
    bench, viewer = person.bench, person.viewer
    person.show(bench.open)
    person.picture("open")
    if scan is None:
        person.press(bench.open.sample_button)
    else:
        dialogs.ask_files = lambda *_: [scan]  # the system's dialog has no buttons to click here
        person.press(bench.open.files_button)
    person.until(lambda: len(viewer.layers) > 1, "the scan")

    person.show(bench.segment)
    if model is not None:
        bench.segment.model.add(find_model(model))
    else:
        person.until(lambda: bench.segment._fit_task is None, "a model that fits")
    person.press(bench.segment.segment_button)
    person.until(lambda: not bench.segment.panel.running, "the first prediction")
    layer = next(
        unwrap(layer)
        for layer in viewer.layers
        if (info := info_of(layer)) is not None and info.role == "prediction"
    )
    check(layer.data.any(), "there are labels")
    first = layer.data.copy()
    person.picture("segmented")

    truth = next(
        (
            unwrap(other)
            for other in viewer.layers
            if (info := info_of(other)) is not None and info.role == "truth"
        ),
        None,
    )
    known = info_of(layer)
    assert known is not None
    assert known.table is not None
    values = known.table.values
    person.show(bench.correct)
    layer.mode = "paint"
    layer.brush_size = max(6, layer.data.shape[-1] // 40)
    for number in range(accept):
        person.key("N")
        z = bench.correct.current
        assert z is not None
        rows, columns = np.nonzero(layer.data[z] == 1)
        if len(rows):
            # Mend the edge of the first muscle, as a person would.
            person.key("1")
            before = layer.data[z].copy()
            top = int(rows.argmin())
            row, column = float(rows[top]), float(columns[top])
            person.stroke(layer, [(row, column), (row + 3, column + 2), (row + 6, column + 2)])
            check((layer.data[z] != before).any(), f"the stroke on slice {z} is there")
        if truth is not None:
            # A careful person draws for minutes; here all of it comes at once.
            # Muscles that the model does not know are left out.
            wanted = np.where(np.isin(truth.data[z], values), truth.data[z], 0)
            where = np.nonzero(layer.data[z] != wanted)
            layer.data_setitem((np.full(len(where[0]), z), *where), wanted[where])
        if number == 0:
            person.picture("painted")
        person.key("A" if layer.data[z].any() else "E")
        assert bench.correct.corrections is not None
        states = bench.correct.corrections.states()
        check(states.get(z, "").startswith("accepted"), f"slice {z} is accepted")
    person.key("U")
    person.picture("accepted")
    person.key("U")
    now = bench.correct.corrections
    assert now is not None
    person.until(lambda: not now.saving, "the study")

    person.press(bench.correct.finetune_button)
    tune = bench.finetune
    person.until(lambda: tune.start_button.native.isEnabled(), "the study's slices")
    tune.minutes.value = minutes
    person.picture("before-fine-tuning")
    person.press(tune.start_button)
    person.until(lambda: tune.panel.plot.picture is not None, "the first curve")
    person.picture("fine-tuning")
    person.until(lambda: not tune.panel.running, "the new model")
    person.until(lambda: not tune.decision.panel.running, "the comparison")
    person.picture("old-and-new")
    if tune.decision.side_button.native.isVisible():
        person.press(tune.decision.side_button)
        person.until(lambda: not tune.decision.panel.running, "both predictions")
    person.picture("side-by-side")
    person.press(tune.decision.new_button)
    person.press(tune.decision.again_button)
    person.until(lambda: not bench.segment.panel.running, "the new prediction")
    check((layer.data != first).any(), "the new model says something else")
    person.picture("segmented-again")

    if bench.evaluate.evaluate_button.native.isEnabled():
        person.show(bench.evaluate)
        person.press(bench.evaluate.evaluate_button)
        person.until(lambda: not bench.evaluate.panel.running, "the evaluation")
        person.until(lambda: not bench.evaluate.plot.painting, "the plot")
        person.picture("evaluated")
        person.click_row(bench.evaluate.table, 1)
        person.picture("worst-slice")
    person.show(bench.measure)
    person.press(bench.measure.measure_button)
    person.until(lambda: not bench.measure.panel.running, "the measures")
    person.until(lambda: not bench.measure.plot.painting, "the plot")
    person.picture("measured")

    person.show(bench.segment)
    target = Path(bench.segment.saving.path.value)
    if scan is None:
        target = pictures / "phantom_dseg.nii.gz"
        bench.segment.saving.path.value = str(target)
    person.press(bench.segment.saving.save_button)
    check(target.is_file(), "the labels are saved")
    person.picture("saved")
    viewer.layers.selection.active = layer
    after = layer.data.copy()
    person.key("Z", Qt.KeyboardModifier.ControlModifier)
    check((layer.data != after).any(), "undo takes the last prediction back")
    person.picture("undone")
    viewer.close()


def check(right: object, what: str) -> None:
    """End the session if something is not as it should be."""
    print(f"{'ok' if right else 'NOT'}     {what}")
    if not right:
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())
