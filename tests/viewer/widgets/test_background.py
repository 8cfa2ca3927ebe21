"""Events from threads: in order, thinned, errors included, harmless once nobody listens."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.events import (
    Failed,
    Finished,
    Note,
    Progress,
    Stopped,
    StoppedByUser,
)
from napari_ssl_muscle.viewer.widgets.background import EventBridge, ThreadTask
from tests.viewer.helpers import until


def events_of(target: Any) -> tuple[list[Any], ThreadTask]:
    work = ThreadTask(target)
    events: list[Any] = []
    work.bridge.arrived.connect(events.append)
    work.start()
    until(lambda: events and isinstance(events[-1], Finished | Stopped | Failed))
    return events, work


def test_events_arrive_in_order_in_the_gui_thread_with_the_result(qtbot: Any) -> None:
    threads = []

    def target(emit: Any, stop: Any) -> str:
        threads.append(threading.current_thread())
        emit(Note(text="one"))
        emit(Note(text="two"))
        return "result"

    work = ThreadTask(target)
    events: list[Any] = []
    work.bridge.arrived.connect(lambda event: events.append((event, threading.current_thread())))
    work.start()
    until(lambda: len(events) == 3)
    assert [getattr(event, "text", event.kind) for event, _ in events] == ["one", "two", "finished"]
    assert {thread for _, thread in events} == {threading.main_thread()}
    assert threads[0] is not threading.main_thread()
    assert work.result == "result"


def test_a_flood_of_progress_is_thinned_to_the_last_but_loses_nothing_else(qtbot: Any) -> None:
    bridge = EventBridge()
    events: list[Any] = []
    bridge.arrived.connect(events.append)
    for done in range(1000):
        bridge.post(Progress(done=done, total=1000))
    bridge.post(Note(text="between"))
    for done in (1000, 1001):
        bridge.post(Progress(done=done, total=1000))
    until(lambda: len(events) >= 3)
    assert [getattr(event, "done", None) for event in events] == [999, None, 1001]


@pytest.mark.parametrize(
    ("error", "bad_input", "words"),
    [
        (BadInput("Choose another scan."), True, "Choose another scan."),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, "mat1 and mat2"),
        (MemoryError(), False, "not enough memory"),
    ],
)
def test_an_error_is_one_last_event(
    qtbot: Any, error: Exception, bad_input: bool, words: str
) -> None:
    def target(emit: Any, stop: Any) -> None:
        raise error

    (event,), _ = events_of(target)
    assert isinstance(event, Failed)
    assert event.bad_input is bad_input
    assert words in event.sentence
    assert ("Traceback" in event.details) is not bad_input


def test_stop_reaches_the_target(qtbot: Any) -> None:
    begun = threading.Event()

    def target(emit: Any, stop: Any) -> None:
        begun.set()
        while not stop():
            pass
        raise StoppedByUser

    work = ThreadTask(target)
    events: list[Any] = []
    work.bridge.arrived.connect(events.append)
    work.start()
    assert begun.wait(60)
    work.stop()
    until(lambda: bool(events))
    assert isinstance(events[0], Stopped)
    assert work.wait(60)


def test_work_goes_on_quietly_when_its_window_is_gone(qtbot: Any) -> None:
    goes_on = threading.Event()

    def target(emit: Any, stop: Any) -> str:
        assert goes_on.wait(60)
        emit(Note(text="nobody hears this"))
        return "done"

    work = ThreadTask(target)
    work.start()
    work.bridge.deleteLater()
    until(lambda: not _alive(work.bridge))
    goes_on.set()
    assert work.wait(60)
    assert work.result == "done"


def _alive(thing: Any) -> bool:
    try:
        thing.objectName()
    except RuntimeError:
        return False
    return True
