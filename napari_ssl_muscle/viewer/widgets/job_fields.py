"""Widgets for the fields of a job: type, limits, choices and help are declared with the field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox
from pydantic.fields import FieldInfo

from napari_ssl_muscle.jobs.fields import Override, bare_type, marked, section_of
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.viewer.widgets.form import choice, line

MOST_INTEGER = 2**31 - 1


class JobFields:
    """Makes widgets for the fields of one kind of job.

    A form gives captions, units and steps. Everything else comes from the job's field or, where
    that overrides a setting of learning, from the setting.
    """

    def __init__(self, job: type[Job]) -> None:
        self._job = job

    def help(self, name: str) -> str:
        """Return a field's help, which the shell's option has, too."""
        return self._job.model_fields[name].description or ""

    def check_box(self, name: str, text: str) -> CheckBox:
        """Return a box to check, off at first."""
        return CheckBox(text=text, tooltip=self.help(name), value=False)

    def line(self, name: str, value: str = "", *, hint: str = "", label: str = "") -> LineEdit:
        """Return a line of text; `hint` shows while it is empty."""
        edit = line(value, tooltip=self.help(name), hint=hint)
        edit.label = label
        return edit

    def choice(self, name: str, captions: Sequence[tuple[str, Any]], label: str) -> ComboBox:
        """Return a list to choose from: caption and value of each choice of the field.

        Raises
        ------
        ValueError
            If the values are not those that the field allows.
        """
        allowed = get_args(bare_type(self._job.model_fields[name].annotation)[0])
        if {value for _, value in captions} != set(allowed):
            raise ValueError(f"{name} is one of {allowed}, which {captions} are not")
        return choice(captions, tooltip=self.help(name), label=label)

    def integer(self, name: str, label: str) -> SpinBox:
        """Return a box for a whole number without a unit, the field's least one at first."""
        low, high = (int(min(limit, MOST_INTEGER)) for limit in _limits(self._declared(name)))
        return SpinBox(value=low, min=low, max=high, tooltip=self.help(name), label=label)

    def number(
        self,
        name: str,
        label: str,
        *,
        step: float = 1,
        most: float = MOST_INTEGER,
        unit: str = "",
        decimals: int = 0,
        none: str = "",
    ) -> FloatSpinBox:
        """Return a box for a number within the field's limits, and up to `most`.

        `none` is shown instead of 0, which then means None. A limit that the field excludes
        can be chosen here, and is refused by the job.
        """
        low, high = _limits(self._declared(name))
        low = 0 if none else low
        box = FloatSpinBox(
            value=low,
            min=low,
            max=min(high, most),
            step=step,
            tooltip=self.help(name),
            label=label,
        )
        box.native.setDecimals(decimals)
        box.native.setSuffix(f" {unit}" if unit else "")
        box.native.setSpecialValueText(none)
        return box

    def _declared(self, name: str) -> FieldInfo:
        field = self._job.model_fields[name]
        return section_of(name).model_fields[name] if marked(field, Override) else field


def _limits(field: FieldInfo) -> tuple[float, float]:
    """Return the least and the largest number that a field allows, excluded ones as well."""
    low, high = 0.0, float("inf")
    for mark in field.metadata:
        low = getattr(mark, "ge", getattr(mark, "gt", low))
        high = getattr(mark, "le", getattr(mark, "lt", high))
    return low, high
