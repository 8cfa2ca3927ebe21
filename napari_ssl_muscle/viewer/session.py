"""What the plugin holds for a napari viewer: one object for each, which ends with it.

What belongs to something else lives there: the predictions of a layer end with the layer
(`layers.prediction_history`), the question of a closing window with the window
(`widgets.close_guard`), a grid of layers with the form that shows it (`layers.grid`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari_ssl_muscle.viewer.layers.layer_rules import apply_layer_rules
from napari_ssl_muscle.viewer.layers.scan_in_front import ScanInFront
from napari_ssl_muscle.viewer.layers.scan_layers import unwrap
from napari_ssl_muscle.viewer.layers.side_marks import SideMarks

if TYPE_CHECKING:
    from napari_ssl_muscle.viewer.correct.sessions import CorrectionSessions


class ViewerSession:
    """One viewer's layer rules, scan in front and corrections; `session_of` returns it.

    From the moment it is made, ground truth is locked, layers are named by scan, and the scan of
    the active layer is the one that is seen.

    Parameters
    ----------
    viewer
        The viewer.
    """

    def __init__(self, viewer: Any) -> None:
        # Weakly: what `_sessions` holds must not keep its key alive.
        self._layers = ref(viewer.layers)
        self._corrections: CorrectionSessions | None = None
        self.entered: dict[str, Any] = {}
        """What was entered into forms, for those that open after they were closed."""
        apply_layer_rules(viewer.layers)
        self.front = ScanInFront(viewer)
        self.side_marks = SideMarks(viewer)

    @property
    def corrections(self) -> CorrectionSessions:
        """The labels that are being corrected."""
        if self._corrections is None:
            # Here, because it needs Qt: without it, the reader still works.
            from napari_ssl_muscle.viewer.correct.sessions import CorrectionSessions

            layers = self._layers()
            assert layers is not None
            self._corrections = CorrectionSessions(layers)
        return self._corrections


_sessions: WeakKeyDictionary[Any, ViewerSession] = WeakKeyDictionary()
"""By the viewer's list of layers."""


def session_of(viewer: Any) -> ViewerSession:
    """Return the session of a viewer; it begins with the first call."""
    viewer = unwrap(viewer)
    layers = viewer.layers
    if layers not in _sessions:
        _sessions[layers] = ViewerSession(viewer)
    return _sessions[layers]


def begin_current_session() -> None:
    """Begin the session of the viewer in front, if there is one."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        session_of(viewer)
