"""Our own "Open": always with our reader, a dialog for every problem.

napari's reader claims .nii.gz, too, and cannot read it, so that its own "Open" has to ask which
plugin to use. This one does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.dicom_scans import can_be_opened
from napari_ssl_muscle.scans.naming import is_image
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.reader import read
from napari_ssl_muscle.viewer.session import session_of
from napari_ssl_muscle.viewer.widgets import dialogs

PLUGIN = "napari-ssl-muscle"


def open_paths(viewer: Any, paths: Iterable[Path]) -> list[Any]:
    """Open scans, label maps and cohort folders in a viewer.

    A path that cannot be opened is shown in a dialog; the others are opened all the same.

    Parameters
    ----------
    viewer
        The napari viewer.
    paths
        Image files, DICOM files and folders.

    Returns
    -------
    list of layers
        Those that were added.
    """
    viewer = unwrap(viewer)
    session_of(viewer)
    added: list[Any] = []
    for path in paths:
        try:
            check_path(path)
            added += _open(viewer, path)
        except BadInput as problem:
            dialogs.show_problem(str(problem), parent=window_of(viewer))
    return added


def _open(viewer: Any, path: Path) -> list[Any]:
    if path.is_dir() or is_image(path):
        return list(viewer.open([str(path)], plugin=PLUGIN))
    # napari asks no reader about a file whose name fits no pattern: DICOM without an ending.
    from napari.layers import Layer

    found = [data for data in read(str(path)) if data[0] is not None]
    return [viewer.add_layer(Layer.create(*data)) for data in found]


def check_path(path: Path) -> None:
    """Refuse what our reader would never be asked to read.

    Raises
    ------
    BadInput
        If there is nothing, or a file that is neither an image by its name nor DICOM.
    """
    if not path.exists():
        raise BadInput(f"{path} does not exist; check the path.")
    if not can_be_opened(path):
        raise BadInput(
            f"{path} is neither an image file (.nii, .nii.gz) nor DICOM; open one of those, or "
            "a folder of them."
        )


def open_sample(viewer: Any) -> list[Any]:
    """Open the leg phantom in a viewer."""
    viewer = unwrap(viewer)
    session_of(viewer)
    return list(viewer.open_sample(PLUGIN, "leg-phantom"))


def ask_for_files(viewer: Any = None) -> None:
    """Let the user pick scans and open them, in the viewer in front if none is given (menu)."""
    viewer = _front() if viewer is None else viewer
    if viewer is not None:
        open_paths(viewer, dialogs.ask_files(window_of(viewer)))


def ask_for_folder(viewer: Any = None) -> None:
    """Let the user pick a folder and open from it, as `ask_for_files`."""
    viewer = _front() if viewer is None else viewer
    if viewer is not None:
        folder = dialogs.ask_folder("Open a folder of DICOM or a cohort", window_of(viewer))
        open_paths(viewer, [folder] if folder is not None else [])


WAYS_TO_OPEN: tuple[tuple[str, str, Callable[[Any], object]], ...] = (
    (
        "Scans…",
        "Open image files (NIfTI), or a file of a DICOM series: its whole series is opened. "
        "Files and folders can also be dropped here.",
        ask_for_files,
    ),
    (
        "Folder (DICOM, cohort)…",
        "Open series from a folder of DICOM or a whole export, or a case of a BIDS, nnU-Net or "
        "flat folder.",
        ask_for_folder,
    ),
    ("Leg phantom (sample)", "A synthetic thigh scan, made in a second or two.", open_sample),
)
"""Caption, tooltip and command of each."""


def window_of(viewer: Any) -> Any:
    """Return the viewer's main window, to put dialogs in front of; None if it is not shown."""
    from qtpy.QtWidgets import QApplication, QMainWindow

    shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow)]
    active = QApplication.activeWindow()
    if active is not None:
        return active
    return next((window for window in shown if window.isVisible()), None)


def _front() -> Any:
    import napari

    return napari.current_viewer()
