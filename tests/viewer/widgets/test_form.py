"""The building blocks of the forms: captions that line up, folds, lists that keep their choice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from magicgui.widgets import ComboBox, LineEdit, SpinBox
from qtpy.QtWidgets import QApplication, QLabel

from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import (
    WIDTH,
    Fields,
    Form,
    column,
    paragraph,
    refresh,
    refresh_in_order,
    row,
    small_button,
)
from tests.viewer.helpers import press, until


@pytest.fixture
def form(qapp: QApplication) -> Iterator[Form]:
    form = Form("Test")
    yield form
    form.native.close()
    form.native.deleteLater()


def left_of(widget: QLabel | object, form: Form) -> int:
    native = getattr(widget, "native", widget)
    return int(native.mapTo(form.native, native.rect().topLeft()).x())


def captions(form: Form) -> dict[str, QLabel]:
    return {label.text(): label for label in form.native.findChildren(QLabel) if label.text()}


def test_inputs_line_up_over_groups_and_folds(form: Form) -> None:
    short, long = LineEdit(label="Of"), SpinBox(label="A long caption", tooltip="What it is.")
    folded = LineEdit(label="Folded")
    in_row = LineEdit()
    fold = Fold("More", column(Fields(folded)))
    form.add_parts(
        Fields(row(in_row, small_button("…", ""), label="Row"), short),
        paragraph("between"),
        Fields(long),
        fold,
    )
    form.native.show()
    fold.toggle()
    until(lambda: left_of(folded, form) == left_of(long, form))
    assert left_of(short, form) == left_of(in_row, form) == left_of(long, form)
    texts = captions(form)
    widths = {texts[text].width() for text in ("Of", "A long caption", "Folded", "Row")}
    assert len(widths) == 1
    assert widths.pop() >= texts["A long caption"].sizeHint().width()
    assert texts["A long caption"].toolTip() == "What it is."


def test_fields_tell_of_changes_and_can_be_filled_again(form: Form) -> None:
    before = LineEdit(label="Before")
    fields = Fields(before)
    form.add_parts(fields)
    changes: list[object] = []
    form.changed.connect(changes.append)
    fields.clear()
    before.native.deleteLater()  # magicgui only lets go of it
    assert not {"Before"} & set(captions(form))
    new = LineEdit(label="After")
    fields.append(new)
    new.value = "typed"
    assert changes
    assert list(fields) == [new]
    assert set(captions(form)) == {"After"}


def test_a_fold_shows_and_hides(form: Form) -> None:
    fold = Fold("More", paragraph("inside"), unfolded=True)
    form.add_parts(fold)
    form.native.show()
    assert fold.content.visible
    press(fold.button)
    assert not fold.content.visible
    assert fold.button.text == "▸ More"


def test_a_refreshed_list_stays_with_its_choice(form: Form) -> None:
    a, b, c = object(), object(), object()  # such as layers
    entries = [("b", b), ("c", c)]
    box = ComboBox(choices=lambda _: list(entries))
    form.add_parts(box)
    box.value = c
    changes: list[object] = []
    box.changed.connect(changes.append)
    entries.insert(0, ("a", a))
    refresh_in_order(box)
    assert (box.value, list(box.choices), changes) == (c, [a, b, c], [])
    refresh_in_order(box, first=True)
    assert (box.value, changes) == (a, [])
    entries.remove(("a", a))
    refresh(box, c)
    assert box.value is c


def test_a_name_too_long_for_a_line_is_shortened_where_it_is_shown_only(form: Form) -> None:
    name = "sub-0123_ses-baseline_repeated_acq-dixon_run-01_water_reconstructed"
    text = f"Will write {name} into /a/folder."
    label = paragraph(text)
    form.add_parts(label)
    assert label.value == text
    assert label.tooltip == text
    assert label.native.text() == (
        "Will write sub-0123_ses-basel…ater_reconstructed into /a/folder."
    )
    label.value = "short"
    assert (label.native.text(), label.native.toolTip()) == ("short", "")
    form.native.show()
    until(lambda: form.native.minimumWidth() == WIDTH)
