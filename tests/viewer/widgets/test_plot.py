"""A plot in a form: painted in a thread, and what was asked for last is what is seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from napari_ssl_muscle.viewer.widgets.plot import PlotArea
from tests.viewer.helpers import until


@pytest.fixture
def area(qapp: Any) -> Iterator[PlotArea]:
    area = PlotArea(height=100)
    yield area
    until(lambda: not area.painting)
    area.deleteLater()


def colour(area: PlotArea) -> tuple[int, int, int]:
    assert area.picture is not None
    pixel = area.picture.toImage().pixelColor(area.picture.width() // 2, 50)
    return pixel.red(), pixel.green(), pixel.blue()


def fill(figure: Any, shade: str) -> None:
    figure.subplots().set(facecolor=shade, xticks=[], yticks=[])


def test_of_plots_that_wait_the_last_one_is_shown(area: PlotArea) -> None:
    threads = []
    assert area.isHidden()
    for shade in ("red", "green", "blue"):

        def paint(figure: Any, shade: str = shade) -> None:
            threads.append(threading.current_thread())
            fill(figure, shade)

        area.show_plot(paint)
    until(lambda: not area.painting)
    assert not area.isHidden()
    assert colour(area) == (0, 0, 255)
    assert len(threads) == 1
    assert threading.main_thread() not in threads


def paint_slowly(area: PlotArea) -> threading.Event:
    """Begin to paint in red, which lasts until the event that is returned is set."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(figure: Any) -> None:
        begun.set()
        go_on.wait()
        fill(figure, "red")

    area.show_plot(slow)
    until(begun.is_set)
    return go_on


def test_a_plot_asked_for_while_another_is_painted_follows(area: PlotArea) -> None:
    go_on = paint_slowly(area)
    area.show_plot(lambda figure: fill(figure, "blue"))
    go_on.set()
    until(lambda: not area.painting)
    assert colour(area) == (0, 0, 255)


def test_a_plot_that_fails_leaves_the_last_one(area: PlotArea) -> None:
    area.show_plot(lambda figure: fill(figure, "blue"))
    until(lambda: not area.painting)

    def fail(figure: Any) -> None:
        raise RuntimeError("no such colour")

    area.show_plot(fail)
    until(lambda: not area.painting)
    assert colour(area) == (0, 0, 255)


def test_cleared_while_it_is_painted_nothing_comes_back(area: PlotArea) -> None:
    go_on = paint_slowly(area)
    area.clear()
    go_on.set()
    until(lambda: not area.painting)
    assert area.picture is None
    assert area.isHidden()


def test_another_width_is_painted_anew(area: PlotArea) -> None:
    area.resize(300, 100)
    area.show_plot(lambda figure: fill(figure, "blue"))
    until(lambda: not area.painting)
    area.resize(400, 100)
    area.show()
    until(lambda: area.picture is not None and area.picture.width() == 400)
