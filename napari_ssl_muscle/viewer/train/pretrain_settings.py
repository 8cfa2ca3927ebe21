"""The part of "Pretrain" that says what is masked and how long it learns."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, Container, FloatSpinBox, LineEdit, SpinBox, Widget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import split_names
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.viewer.train.finetune_choices import PRESETS
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import choice, column, line

AS_PRESET = "as the settings say"
SCORED = (("Masked pixels only", "masked"), ("The whole image", "image"))


class PretrainSettings(Container[Widget]):
    """Preset, masks and length; what most people leave alone is folded.

    Choosing a preset sets the masks to its values, which then can be changed.
    """

    def __init__(self) -> None:
        self.preset = choice(PRESETS, tooltip=help_of("preset"), label="Settings")
        self.percent = FloatSpinBox(
            min=0, max=100, step=5, tooltip=help_of("mask_percent"), label="Masked"
        )
        self.percent.native.setSuffix(" %")
        self.percent.native.setDecimals(1)
        self.kernel = FloatSpinBox(
            min=1, max=512, step=1, tooltip=help_of("kernel_size"), label="Squares of"
        )
        self.kernel.native.setSuffix(" pixels")
        self.kernel.native.setDecimals(0)
        self.minutes = FloatSpinBox(
            value=0, min=0, max=10_000, step=5, tooltip=help_of("minutes"), label="Time"
        )
        self.minutes.native.setSpecialValueText(AS_PRESET)
        self.minutes.native.setSuffix(" min")
        self.minutes.native.setDecimals(1)
        self.main = column(self.preset, self.percent, self.kernel, self.minutes, labels=True)

        self.inside_body = _box("Mask only inside the body", "inside_body")
        self.exact = _box("Meet the percentage to the pixel", "exact")
        self.mask_channel = _box("Tell the network where the holes are", "mask_channel")
        self.transductive = _box("Images of test subjects take part", "transductive")
        self.scored = choice(SCORED, tooltip=help_of("scored"), label="Error of")
        self.steps = FloatSpinBox(
            value=0, min=0, max=10_000_000, step=100, tooltip=help_of("steps"), label="Steps"
        )
        self.steps.native.setSpecialValueText(AS_PRESET)
        self.steps.native.setDecimals(0)
        self.seed = SpinBox(value=0, min=0, max=2**31 - 1, tooltip=help_of("seed"), label="Seed")
        self.leave_out: LineEdit = line(
            tooltip=help_of("leave_out"), hint="test subjects, such as sub-01, sub-02"
        )
        self.leave_out.label = "Leave out"
        self.more = column(self.scored, self.steps, self.seed, self.leave_out, labels=True)
        boxes = column(self.inside_body, self.exact, self.mask_channel, self.transductive)
        boxes.native.layout().setSpacing(2)
        self.fold = Fold("More settings", column(self.more, boxes))
        super().__init__(widgets=[self.main, self.fold], labels=False)
        self.margins = (0, 0, 0, 0)
        self._take_preset()
        self.preset.changed.connect(self._take_preset)

    def values(self) -> dict[str, Any]:
        """Return the settings of a `PretrainJob`: what the preset says already is left out.

        Raises
        ------
        BadInput
            If the percentage is 0.
        """
        if self.percent.value <= 0:
            raise BadInput(
                "The masked percentage is 0, so there is nothing to restore; "
                "choose more than 0 and at most 100."
            )
        usual = preset(self.preset.value).pretext
        asked = {
            "mask_percent": float(self.percent.value),
            "kernel_size": int(self.kernel.value),
            "exact": self.exact.value,
            "inside_body": self.inside_body.value,
            "mask_channel": self.mask_channel.value,
            "scored": self.scored.value,
        }
        return {
            "preset": self.preset.value,
            **{name: value for name, value in asked.items() if value != getattr(usual, name)},
            "minutes": self.minutes.value or None,
            "steps": int(self.steps.value) or None,
            "seed": self.seed.value or None,
            "leave_out": split_names(self.leave_out.value.strip()) or None,
            "transductive": self.transductive.value,
        }

    def _take_preset(self) -> None:
        usual = preset(self.preset.value).pretext
        self.percent.value = usual.mask_percent
        self.kernel.value = usual.kernel_size
        self.exact.value = usual.exact
        self.inside_body.value = usual.inside_body
        self.mask_channel.value = usual.mask_channel
        self.scored.value = usual.scored


def help_of(field: str) -> str:
    """Return the words that the shell's option has, too."""
    return PretrainJob.model_fields[field].description or ""


def _box(text: str, field: str) -> CheckBox:
    return CheckBox(text=text, tooltip=help_of(field))
