"""An import in a thread sets off no garbage collection, and garbage is collected after it."""

from __future__ import annotations

import gc
import weakref

import pytest

from napari_ssl_muscle.learning.torch_import import collection_deferred, garbage_collected_at_once


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


def test_nothing_is_collected_inside_and_everything_afterwards() -> None:
    began: list[str] = []
    gc.callbacks.append(lambda phase, info: began.append(phase))
    try:
        with pytest.raises(ZeroDivisionError), collection_deferred():  # noqa: PT012 - what is inside counts
            ring = weakref.ref(Ring())
            kept = [[] for _ in range(100_000)]  # far more than sets off a collection
            assert not began
            1 / 0  # noqa: B018
        assert not began
        assert len(kept) == 100_000
    finally:
        gc.callbacks.pop()
    assert gc.isenabled()
    assert ring() is not None
    gc.collect()
    assert ring() is None


def test_who_has_switched_the_collector_off_finds_it_off() -> None:
    gc.disable()
    try:
        with collection_deferred():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_lives_shortly_is_gone_at_the_end_and_never_grew_old() -> None:
    def make() -> weakref.ref[Ring]:
        kept = [Ring() for _ in range(20_000)]
        return weakref.ref(kept[0])

    generations: list[int] = []
    gc.callbacks.append(lambda phase, info: generations.append(info["generation"]))
    try:
        with garbage_collected_at_once():
            ring = make()
            assert not generations
    finally:
        gc.callbacks.pop()
    assert set(generations) == {0}
    assert ring() is None
    assert gc.isenabled()
