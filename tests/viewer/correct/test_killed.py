"""A napari that is killed in the middle of work: the next start offers all of it back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.viewer.correct.form import CorrectForm
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from tests.viewer.helpers import press

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="nothing ends a process there as `kill -9` does"
)

CHILD = Path(__file__).with_name("killed_window.py")


@contextmanager
def window_killed(scan: Path, when: str, word: str) -> Iterator[np.ndarray]:
    """Run a napari of its own until it says a word, kill it, and give the labels of then."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(scan), str(scan.parent), when],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        said = [""]
        while said[-1] != word and (line := child.stdout.readline()):
            said.append(line.strip())  # napari says things, too
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert said[-1] == word, said
    assert child.returncode == -9
    yield np.load(scan.parent / "labels.npy")


@pytest.fixture
def start(make_napari_viewer: Callable[..., Any], scan_file: Path) -> Callable[[], Any]:
    """Return what starts napari again: `(form, labels layer)`."""

    def again() -> Any:
        viewer = make_napari_viewer()
        form = CorrectForm(viewer)
        viewer.window.add_dock_widget(form.native)
        commands.open_paths(viewer, [scan_file])
        return form, next(unwrap(x) for x in viewer.layers if x.name == "Prediction")

    return again


def test_in_the_middle_of_a_stroke(scan_file: Path, home: Path, start: Callable[[], Any]) -> None:
    with window_killed(scan_file, "stroke", "written") as drawn:
        form, layer = start()
        assert (drawn[0] == 3).any()
        assert (drawn[1] == 3).any()  # the stroke with the button still down
        assert not layer.data.any()
        assert form.unsaved.native.isVisibleTo(form.native)
        press(form.unsaved.restore_button)
        # It went on drawing until it was killed: what was told is there, voxel by voxel, and of
        # the rest perhaps some.
        np.testing.assert_array_equal(layer.data[0], drawn[0])
        np.testing.assert_array_equal(layer.data[drawn > 0], drawn[drawn > 0])
        assert set(np.unique(layer.data)) == {0, 3}
        restored = layer.data.copy()
        layer.undo()
        np.testing.assert_array_equal(layer.data, restored)


def test_in_the_middle_of_writing_a_prediction(
    scan_file: Path, home: Path, start: Callable[[], Any]
) -> None:
    with window_killed(scan_file, "prediction", "half") as drawn:
        form, layer = start()
        press(form.unsaved.restore_button)
        assert drawn.any()
        np.testing.assert_array_equal(layer.data, drawn)
        # What is drawn now is not lost behind the torn record.
        layer.paint((5, 20, 20), 4)
        form.corrections.record_changes()
        store = form.corrections.store
        np.testing.assert_array_equal(store.replay(np.zeros_like(layer.data)), layer.data)


def test_in_the_middle_of_accepting_a_slice(
    scan_file: Path, home: Path, start: Callable[[], Any]
) -> None:
    with window_killed(scan_file, "acceptance", "saving") as drawn:
        assert Study.read(scan_file.parent / "muscle-study").states("leg")[0] == "accepted"
        form, layer = start()
        assert form.corrections.states()[0] == "accepted"
        press(form.unsaved.restore_button)
        assert (drawn[0] == 3).any()
        np.testing.assert_array_equal(layer.data, drawn)
