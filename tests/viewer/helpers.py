"""What people do with a form, for tests: press, wait for the end."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest

from napari_ssl_muscle.viewer.widgets.background import EventBridge

PATIENCE = 120_000
"""Milliseconds after which a test that waits in vain fails; nothing takes nearly as long."""


def press(button: Any) -> None:
    """Click a magicgui button with the mouse."""
    assert button.native.isEnabled(), "the button cannot be pressed"
    QTest.mouseClick(button.native, Qt.MouseButton.LeftButton)


def end_of(panel: Any) -> Any:
    """Run the event loop until the work that a panel shows has ended; return the closing event."""
    endings: list[Any] = []
    loop = QEventLoop()

    def ended(event: Any) -> None:
        endings.append(event)
        loop.quit()

    panel.ended.connect(ended)
    late = QTimer()
    late.setSingleShot(True)
    late.timeout.connect(loop.quit)
    late.start(PATIENCE)
    if panel.running:
        loop.exec()
    late.stop()
    panel.ended.disconnect(ended)
    assert endings, "the work did not end"
    return endings[0]


def until(ready: Any) -> None:
    """Run the event loop until a condition holds."""
    loop = QEventLoop()
    late = QTimer()
    late.setSingleShot(True)
    late.timeout.connect(loop.quit)
    late.start(PATIENCE)
    look = QTimer()
    look.timeout.connect(lambda: loop.quit() if ready() else None)
    look.start(5)
    if not ready():
        loop.exec()
    look.stop()
    late.stop()
    assert ready(), "waited in vain"


class FakeTask:
    """Stands in for a child process: remembers the job, tells what the test says.

    A test that uses it sets `made` to a list of its own.
    """

    made: list[FakeTask]

    def __init__(self, job: Any) -> None:
        self.job = job
        self.bridge = EventBridge()
        self.stopped = False
        self.made.append(self)

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.stopped = True
