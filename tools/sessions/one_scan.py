"""One scan, from opening to saved labels: segment, paint, accept, fine-tune, evaluate, undo.

Where the scan has ground truth, the rest of each slice is drawn as it is there.
"""

from __future__ import annotations

from pathlib import Path

from sessions.walker import Walkthrough, check


def run(
    pictures: Path,
    size: tuple[int, int] | None,
    scan: Path | None,
    model: str | None,
    accept: int,
    minutes: float,
) -> None:
    """Go through the session.

    Parameters
    ----------
    pictures
        Folder for the pictures, and home of the program.
    size
        Of the window.
    scan, model
        What to open and to begin with; None for the phantom, and for a model that fits.
    accept
        Slices to accept.
    minutes
        Time to fine-tune.
    """
    import numpy as np
    from qtpy.QtCore import Qt

    from napari_ssl_muscle.learning.models.card import find_model
    from napari_ssl_muscle.viewer.layers.scan_layers import info_of, unwrap

    person = Walkthrough(pictures, size)
    bench, viewer = person.bench, person.viewer
    person.show(bench.open)
    person.picture("open")
    if scan is None:
        person.press(bench.open.sample_button)
    else:
        person.open_files(scan)
    person.until(lambda: len(viewer.layers) > 1, "the scan")

    person.show(bench.segment)
    if model is not None:
        bench.segment.model.add(find_model(model))
    else:
        person.until(lambda: bench.segment._fit_task is None, "a model that fits")
    person.press(bench.segment.segment_button)
    person.until(lambda: not bench.segment.panel.running, "the first prediction")
    layer = next(
        unwrap(layer)
        for layer in viewer.layers
        if (info := info_of(layer)) is not None and info.role == "prediction"
    )
    check(layer.data.any(), "there are labels")
    first = layer.data.copy()
    person.picture("segmented")

    truth = next(
        (
            unwrap(other)
            for other in viewer.layers
            if (info := info_of(other)) is not None and info.role == "truth"
        ),
        None,
    )
    known = info_of(layer)
    assert known is not None
    assert known.table is not None
    values = known.table.values
    person.show(bench.correct)
    layer.mode = "paint"
    layer.brush_size = max(6, layer.data.shape[-1] // 40)
    for number in range(accept):
        person.key("N")
        z = bench.correct.current
        assert z is not None
        person.mend(layer)
        if truth is not None:
            # A careful person draws for minutes; here all of it comes at once.
            # Muscles that the model does not know are left out.
            wanted = np.where(np.isin(truth.data[z], values), truth.data[z], 0)
            where = np.nonzero(layer.data[z] != wanted)
            layer.data_setitem((np.full(len(where[0]), z), *where), wanted[where])
        if number == 0:
            person.picture("painted")
        person.key("A" if layer.data[z].any() else "E")
        assert bench.correct.corrections is not None
        states = bench.correct.corrections.states()
        check(states.get(z, "").startswith("accepted"), f"slice {z} is accepted")
    person.key("U")
    person.picture("accepted")
    person.key("U")
    now = bench.correct.corrections
    assert now is not None
    person.until(lambda: not now.saving, "the study")

    person.press(bench.correct.finetune_button)
    tune = bench.finetune
    person.until(lambda: tune.start_button.native.isEnabled(), "the study's slices")
    tune.minutes.value = minutes
    person.picture("before-fine-tuning")
    person.press(tune.start_button)
    person.until(lambda: tune.panel.plot.picture is not None, "the first curve")
    person.picture("fine-tuning")
    person.until(lambda: not tune.panel.running, "the new model")
    person.until(lambda: not tune.decision.panel.running, "the comparison")
    person.picture("old-and-new")
    if tune.decision.side_button.native.isVisible():
        person.press(tune.decision.side_button)
        person.until(lambda: not tune.decision.panel.running, "both predictions")
    person.picture("side-by-side")
    person.press(tune.decision.new_button)
    person.press(tune.decision.again_button)
    person.until(lambda: not bench.segment.panel.running, "the new prediction")
    check((layer.data != first).any(), "the new model says something else")
    person.picture("segmented-again")

    if bench.evaluate.evaluate_button.native.isEnabled():
        person.show(bench.evaluate)
        person.press(bench.evaluate.evaluate_button)
        person.until(lambda: not bench.evaluate.panel.running, "the evaluation")
        person.until(lambda: not bench.evaluate.plot.painting, "the plot")
        person.picture("evaluated")
        person.click_row(bench.evaluate.table, 1)
        person.picture("worst-slice")
    person.show(bench.measure)
    person.press(bench.measure.measure_button)
    person.until(lambda: not bench.measure.panel.running, "the measures")
    person.until(lambda: not bench.measure.plot.painting, "the plot")
    person.picture("measured")

    person.show(bench.segment)
    target = Path(bench.segment.saving.path.value)
    if scan is None:
        target = pictures / "phantom_dseg.nii.gz"
        bench.segment.saving.path.value = str(target)
    person.press(bench.segment.saving.save_button)
    check(target.is_file(), "the labels are saved")
    person.picture("saved")
    viewer.layers.selection.active = layer
    after = layer.data.copy()
    person.key("Z", Qt.KeyboardModifier.ControlModifier)
    check((layer.data != after).any(), "undo takes the last prediction back")
    person.picture("undone")
    viewer.close()
