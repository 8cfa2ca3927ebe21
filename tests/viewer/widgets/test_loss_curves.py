"""The figures of a training, without a window."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from napari_ssl_muscle.learning.events import EpochEnd, Progress
from napari_ssl_muscle.viewer.widgets.loss_curves import (
    MOST_LIVE,
    Curves,
    CurveSnapshot,
    draw,
    format_epoch,
)


def after(step: int, best: bool = False, arm: str = "", **metrics: float) -> EpochEnd:
    return EpochEnd(epoch=step // 10, step=step, metrics=metrics, best=best, arm=arm)


def figure_of(curves: Curves) -> Figure:
    figure = Figure()
    draw(FigureCanvasAgg(figure).figure, curves.drawn())
    figure.canvas.draw()
    return figure


def test_one_point_is_no_curve() -> None:
    curves = Curves()
    assert not curves.add(after(10, train_loss=1.0, dice=0.5))
    assert curves.add(after(20, train_loss=0.5, dice=0.6))


def test_loss_and_dice_are_kept_by_step_whatever_else_is_told() -> None:
    curves = Curves()
    curves.add(after(10, best=True, train_loss=1.0, lr=0.1, dice=0.5))
    curves.add(after(20, train_loss=0.5, lr=0.1, dice=0.4))
    # A run that goes on does its last steps again.
    curves.add(after(20, best=True, train_loss=0.4, lr=0.1, dice=0.6))
    assert curves.drawn() == CurveSnapshot(
        {}, {10: 1.0, 20: 0.4}, {10: 0.5, 20: 0.6}, "Validation Dice", frozenset({10, 20})
    )


def test_between_rounds_the_loss_of_the_moment_is_drawn() -> None:
    curves = Curves()
    assert not curves.add_live(Progress(done=1, total=9))  # reading scans has no loss
    assert not curves.add_live(Progress(done=1, total=9, loss=2.0))
    assert curves.add_live(Progress(done=2, total=9, loss=1.5))
    assert curves.drawn().live == {1: 2.0, 2: 1.5}
    assert figure_of(curves).axes[0].lines[0].get_ydata().tolist() == [2.0, 1.5]  # type: ignore[union-attr]


def test_a_long_training_keeps_few_points_over_its_whole_length() -> None:
    curves = Curves()
    for step in range(10_000):
        curves.add_live(Progress(done=step, total=10_000, loss=1.0))
    steps = list(curves.drawn().live)
    assert len(steps) <= MOST_LIVE
    assert steps[0] == 0
    assert steps[-1] > 9_900
    assert steps == sorted(steps)


def test_a_pretext_shows_its_error() -> None:
    curves = Curves()
    curves.add(after(10, train_loss=1.0, masked_error=0.3, image_error=0.1, constant_error=1.0))
    assert curves.drawn().name == "Validation error"
    assert curves.drawn().check == {10: 0.3}


def test_of_compared_trainings_nothing_is_taken() -> None:
    curves = Curves()
    for step in (10, 20):
        assert not curves.add(after(step, arm="encoder", train_loss=1.0))
    assert not curves.drawn().loss


def test_what_is_painted_does_not_change_with_later_figures() -> None:
    curves = Curves()
    curves.add(after(10, train_loss=1.0))
    drawn = curves.drawn()
    curves.add(after(20, train_loss=1.0))
    assert list(drawn.loss) == [10]


def test_cleared_it_begins_anew() -> None:
    curves = Curves()
    for step in (10, 20):
        curves.add(after(step, best=True, train_loss=1.0, dice=0.5))
    curves.clear()
    assert curves.drawn() == CurveSnapshot({}, {}, {}, "", frozenset())


def test_the_plot_has_an_axis_for_each_and_both_are_named() -> None:
    curves = Curves()
    curves.add(after(10, train_loss=1.0, dice=0.5))
    curves.add(after(20, best=True, train_loss=0.5, dice=0.6))
    left, right = figure_of(curves).axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("Training loss", "Validation Dice")
    assert left.lines[1].get_xdata().tolist() == [5, 15]  # type: ignore[union-attr]
    assert left.lines[1].get_ydata().tolist() == [1.0, 0.5]  # type: ignore[union-attr]
    assert right.lines[0].get_xdata().tolist() == [10, 20]  # type: ignore[union-attr]
    assert right.get_ylim() == (0, 1)


def test_without_validation_there_is_one_axis() -> None:
    curves = Curves()
    for step in (10, 20):
        curves.add(after(step, train_loss=1.0))
    assert len(figure_of(curves).axes) == 1


def test_a_round_in_words() -> None:
    best = after(30, best=True, train_loss=0.5, dice=0.81)
    assert format_epoch(best) == "Epoch 3 · loss 0.500 · validation Dice 0.810 (best so far)"
    pretext = after(30, train_loss=0.5, masked_error=0.25, constant_error=1.125)
    assert format_epoch(pretext).endswith("error inside the masks of 0.250 (a plain grey: 1.125)")
