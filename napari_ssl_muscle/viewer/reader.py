"""napari's reader: scans, label maps, DICOM, and folders of a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_ssl_muscle.viewer.open.loading import UserPrompts

ReadFunction = Callable[..., list[Any]]


def get_reader(path: str | Sequence[str]) -> ReadFunction | None:
    """Return the function that reads these paths; None if they are neither images nor folders."""
    from napari_ssl_muscle.scans.dicom_scans import can_be_opened

    paths = [path] if isinstance(path, str) else list(path)
    if paths and all(can_be_opened(Path(p)) for p in paths):
        return read
    return None


def read(path: str | Sequence[str]) -> list[Any]:
    """Read paths as napari layer data.

    Questions (which volume, which case) are asked if a window is on screen.

    Returns
    -------
    list of layer data
        `[(None,)]`, napari's sign for "nothing to show", if the user changed their mind.

    Raises
    ------
    BadInput
        If a path cannot be opened and no window is on screen to show a dialog on.
    """
    from napari_ssl_muscle.errors import BadInput
    from napari_ssl_muscle.viewer.open.loading import Cancelled, load
    from napari_ssl_muscle.viewer.session import begin_current_session

    ask = _user_prompts()
    layers: list[Any] = []
    for name in [path] if isinstance(path, str) else path:
        try:
            layers += load(Path(name), ask)
        except Cancelled:
            continue
        except BadInput as problem:
            if ask is None:
                raise
            # Dropped on the window, say: napari would show a traceback.
            ask.show_problem(str(problem))
    begin_current_session()
    return layers or [(None,)]


def _user_prompts() -> UserPrompts | None:
    """Return who can be asked: the window, if one is on screen."""
    try:
        from napari_ssl_muscle.viewer.open.prompts import WindowPrompts
        from napari_ssl_muscle.viewer.widgets import dialogs
    except ImportError:  # no Qt binding: napari is used as a library
        return None
    return WindowPrompts() if dialogs.can_ask() else None
