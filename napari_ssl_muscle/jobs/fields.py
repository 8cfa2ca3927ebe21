"""What the fields of jobs are made of: marks, shared fields, and overrides of a preset's settings.

A setting of learning is declared once, in `learning.settings`; a job's field that overrides it,
the shell's option and the window's widget take type, limits and help from there.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    create_model,
)
from pydantic.fields import FieldInfo

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.settings import (
    Device,
    NetworkSettings,
    PretextSettings,
    Settings,
    SliceSettings,
    TrainingSettings,
)

SECTIONS: dict[str, type[Settings]] = {
    "network": NetworkSettings,
    "slices": SliceSettings,
    "training": TrainingSettings,
    "pretext": PretextSettings,
}
"""Section of a recipe whose settings a job may override → its class."""

DARKEST = "darkest"
"""What the user writes for the smallest value of each image, which in MRI is air."""

AUGMENT = "augment"
"""Switches the whole section of that name on or off."""

_ZERO_IS_NONE = ("spacing", "size", "clip", "patience")
_OTHERS: dict[str, tuple[Any, str]] = {
    AUGMENT: (bool, "Change training images at random."),
    "fill": (
        float | Literal["darkest"],
        "Value of masked pixels in standard deviations from the image's mean, or 'darkest' for "
        "the smallest value of each image.",
    ),
}
"""Overrides that differ from their setting: type and help."""


@dataclass(frozen=True)
class Argument:
    """Marks a field that the shell takes by its place instead of as an option."""

    metavar: str


@dataclass(frozen=True)
class ModelReference:
    """Marks a field that names a model: a file, a run's folder or a shipped model."""


T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


def _is_voxel_size(text: str | None) -> str | None:
    if text is not None:
        from napari_ssl_muscle.scans.voxel_size import parse_voxel_size

        try:
            parse_voxel_size(text)
        except BadInput as problem:
            raise ValueError(str(problem)) from None
    return text


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A name that the user types: a muscle, a channel, a subject."""

# Fields that several actions share; each action gives the default.
Start = Annotated[
    str | None,
    ModelReference(),
    Field(description="Start from this model (a file, a run's folder, a shipped model's name)."),
]
Volume = Annotated[
    int | None, Field(ge=0, description="Which volume of a 4D scan to use, counted from 0.")
]
SeriesNumbers = Annotated[
    list[int] | None,
    Field(
        min_length=1,
        description="Numbers of the DICOM series to take. Default: every whole anatomical one.",
    ),
]
EchoNumbers = Annotated[
    list[int] | None,
    Field(
        min_length=1,
        description="DICOM echoes to take, from 1 for the shortest echo time. Default: all.",
    ),
]
ComputeDevice = Annotated[
    Device, Field(description=TrainingSettings.model_fields["device"].description)
]
Threads = Annotated[
    int | None, Field(ge=1, description="CPU threads; other numbers may change the last bits.")
]
VoxelSize = Annotated[
    str | None,
    AfterValidator(_is_voxel_size),
    Field(
        description="Size of a voxel as X,Y,Z in mm, for files that do not say theirs; those that "
        "do keep it."
    ),
]
TablesFolder = Annotated[Path, Field(description="Folder for the tables (CSV and JSON).")]
OverwriteTables = Annotated[bool, Field(description="Replace tables that are there already.")]


@dataclass(frozen=True)
class Override:
    """Marks a field that overrides a setting of the preset; None leaves the preset's value."""


def marked(field: FieldInfo, mark: type[T]) -> T | None:
    """Return the mark of that kind that a field of a job carries."""
    return next((item for item in field.metadata if isinstance(item, mark)), None)


def bare_type(annotation: Any) -> tuple[Any, bool]:
    """Return a field's type without None, list and marks, and whether it was a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return bare_type(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        # A number or a word: taken as text, which the job itself reads.
        return bare_type(parts[0]) if len(parts) == 1 else (str, False)
    if origin is list:
        return bare_type(get_args(annotation)[0])[0], True
    return annotation, False


def option_name(field: str) -> str:
    """Return the shell's option of a field: two dashes, and dashes inside."""
    return "--" + field.replace("_", "-")


def overriding(*names: str, more_help: str = "") -> Callable[[type[Model]], type[Model]]:
    """Return a decorator that adds fields to a job which override settings of its preset.

    `names` are those of settings in `SECTIONS`, and `AUGMENT`; `more_help` follows each help.
    """
    fields = {name: _override(name, more_help) for name in names}

    def decorate(model: type[Model]) -> type[Model]:
        return create_model(
            model.__name__,
            __base__=model,
            __doc__=model.__doc__,
            __module__=model.__module__,
            **fields,
        )

    return decorate


def _override(name: str, more_help: str) -> Any:
    if name in _OTHERS:
        kind, text = _OTHERS[name]
    else:
        setting = section_of(name).model_fields[name]
        kind, text = setting.annotation, setting.description or ""
    none = " 0 for none." if name in _ZERO_IS_NONE else ""
    return (
        Annotated[kind | None, AfterValidator(partial(_check, name)), Override()],
        Field(None, description=f"{text}{none}{more_help}"),
    )


def section_of(name: str) -> type[Settings]:
    """Return the section of the recipe that has a setting of that name; there must be one."""
    return next(section for section in SECTIONS.values() if name in section.model_fields)


def for_recipe(name: str, value: Any) -> Any:
    """Return an override as the recipe has it: None where 0 or a word stands for it."""
    return None if value == DARKEST or (name in _ZERO_IS_NONE and value == 0) else value


def _check(name: str, value: Any) -> Any:
    """Refuse what the section would refuse, in its sentence."""
    if value is not None and name != AUGMENT:
        try:
            section_of(name).model_validate({name: for_recipe(name, value)})
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"]) from None
    return value
