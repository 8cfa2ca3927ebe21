"""The settings in "Pretrain": what is masked, and how long it learns."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import Container, Widget
from magicgui.widgets.bases import ValueWidget

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cli_options import split_names
from napari_ssl_muscle.jobs.preset_values import describe_length
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.viewer.train.training_form import AS_PRESET, PRESETS
from napari_ssl_muscle.viewer.widgets.fold import Fold
from napari_ssl_muscle.viewer.widgets.form import Fields, column
from napari_ssl_muscle.viewer.widgets.job_fields import JobFields

SCORED = (("Masked pixels only", "masked"), ("The whole image", "image"))


class PretrainSettings(Container[Widget]):
    """Preset, masks and length; rarely changed settings are folded.

    Choosing a preset sets the masks to its values, which then can be changed.
    """

    def __init__(self) -> None:
        fields = JobFields(PretrainJob)
        self.preset = fields.choice("preset", PRESETS, "Settings")
        self.percent = fields.number("mask_percent", "Masked", unit="%", step=5, decimals=1)
        self.kernel = fields.number("kernel_size", "Squares of", unit="pixels", most=512)
        self.minutes = fields.number(
            "minutes", "Time", unit="min", step=5, decimals=1, most=10_000, none=AS_PRESET
        )
        self.main = Fields(self.preset, self.percent, self.kernel, self.minutes)

        self.inside_body = fields.check_box("inside_body", "Mask only inside the body")
        self.exact = fields.check_box("exact", "Meet the percentage to the pixel")
        self.mask_channel = fields.check_box("mask_channel", "Tell the network where the holes are")
        self.transductive = fields.check_box("transductive", "Images of test subjects take part")
        self.scored = fields.choice("scored", SCORED, "Error of")
        self.steps = fields.number("steps", "Steps", step=100, most=10_000_000, none=AS_PRESET)
        self.seed = fields.integer("seed", "Seed")
        self.leave_out = fields.line(
            "leave_out", label="Leave out", hint="test subjects, such as sub-01, sub-02"
        )
        self.more = Fields(self.scored, self.steps, self.seed, self.leave_out)
        boxes = column(self.inside_body, self.exact, self.mask_channel, self.transductive)
        boxes.native.layout().setSpacing(2)
        self.fold = Fold("More settings", column(self.more, boxes))
        super().__init__(widgets=[self.main, self.fold], labels=False)
        self.margins = (0, 0, 0, 0)
        self._take_preset()
        self.preset.changed.connect(self._take_preset)

    @property
    def fields(self) -> dict[str, ValueWidget[Any]]:
        """The widgets by their names; the preset, which sets others, comes first."""
        return {name: part for name, part in vars(self).items() if isinstance(part, ValueWidget)}

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
        recipe = preset(self.preset.value)
        for box in (self.minutes, self.steps):
            box.native.setSpecialValueText(AS_PRESET.format(describe_length(recipe)))
        usual = recipe.pretext
        self.percent.value = usual.mask_percent
        self.kernel.value = usual.kernel_size
        self.exact.value = usual.exact
        self.inside_body.value = usual.inside_body
        self.mask_channel.value = usual.mask_channel
        self.scored.value = usual.scored
