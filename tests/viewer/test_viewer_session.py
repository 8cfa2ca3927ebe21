"""One session for each viewer: it holds the viewer's corrections and ends with the viewer."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.open import commands
from napari_ssl_muscle.viewer.session import session_of


def test_every_viewer_has_one_session_and_viewers_share_nothing(
    layers_only: Any, scan_file: Path, qapp: QApplication
) -> None:
    other = ViewerModel()
    session = session_of(layers_only)
    assert session_of(layers_only) is session
    assert session_of(other) is not session
    assert session.corrections is session_of(layers_only).corrections
    session.corrections.acquire()
    session_of(other).corrections.acquire()
    _, layer = map(unwrap, commands.open_paths(layers_only, [scan_file]))
    assert session.corrections.of(layer) is session.corrections.only() is not None
    assert session_of(other).corrections.only() is None
    session.corrections.release()
    session_of(other).corrections.release()
    assert session.corrections.only() is None


def test_a_session_ends_with_its_viewer(
    layers_only: Any, labelled_file: Path, qapp: QApplication
) -> None:
    viewer = ViewerModel()
    session = session_of(viewer)
    session.corrections.acquire()
    commands.open_paths(viewer, [labelled_file])
    corrections = session.corrections.only()
    assert corrections is not None
    session.corrections.release()
    gone = [ref(thing) for thing in (session, session.corrections, corrections, viewer.layers)]
    viewer.layers.clear()
    del viewer, session, corrections
    gc.collect()
    assert [it() for it in gone] == [None] * len(gone)


def test_the_session_of_a_reader_needs_neither_torch_nor_qt() -> None:
    code = (
        "import sys; import napari_ssl_muscle.viewer.session; "
        "assert not {'torch', 'qtpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
