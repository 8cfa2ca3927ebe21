"""A widget takes limits, choices and help from the one declaration of its field."""

from __future__ import annotations

import pytest
from magicgui.widgets import Widget
from pytestqt.qtbot import QtBot

from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.learning.settings import PretextSettings, TrainingSettings
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields


def close_after(qtbot: QtBot, *widgets: Widget) -> None:
    for widget in widgets:
        qtbot.addWidget(widget.native)


def test_a_number_has_the_limits_and_the_help_of_the_setting(qtbot: QtBot) -> None:
    fields = JobFields(PretrainJob)
    percent = fields.number("mask_percent", "Masked", unit="%", decimals=1)
    close_after(qtbot, percent)
    assert (percent.min, percent.max) == (0, 100)
    assert percent.native.suffix() == " %"
    assert percent.tooltip == PretextSettings.model_fields["mask_percent"].description
    kernel = fields.number("kernel_size", "Squares of", unit="pixels", most=512)
    close_after(qtbot, kernel)
    assert (kernel.min, kernel.max, kernel.value) == (1, 512, 1)
    width, volume = fields.integer("width", "Width"), fields.integer("volume", "Volume")
    close_after(qtbot, width, volume)
    assert (width.min, width.max, volume.min) == (4, 512, 0)


def test_zero_stands_for_none_where_a_word_is_shown_for_it(qtbot: QtBot) -> None:
    minutes = JobFields(FinetuneJob).number("minutes", "Time", none="as the settings say")
    close_after(qtbot, minutes)
    assert (minutes.min, minutes.value) == (0, 0)
    assert minutes.native.text() == "as the settings say"


def test_a_list_offers_exactly_the_choices_of_the_field(qtbot: QtBot) -> None:
    fields = JobFields(FinetuneJob)
    box = fields.choice("optimizer", [("A", "adam"), ("W", "adamw"), ("R", "rmsprop")], "By")
    close_after(qtbot, box)
    assert box.value == "adam"
    assert box.tooltip == TrainingSettings.model_fields["optimizer"].description
    with pytest.raises(ValueError, match="optimizer"):
        fields.choice("optimizer", [("A", "adam")], "By")
