"""A job's fields as the shell's options, and the way back: `command` writes what this reads."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.command import option_name, split_names
from napari_ssl_muscle.jobs.settings import (
    Argument,
    Job,
    ModelReference,
    main_fields,
    overrides,
    what_is_wrong,
)

_TYPES: dict[Any, Any] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}


def options_of(kind: type[Job]) -> list[click.Parameter]:
    """Return one option or argument for every field of a job.

    Their default is always None: what the user leaves out is left to the job's own defaults.
    """
    made = [_parameter(kind, name) for name in main_fields(kind)]
    return made + [_parameter(kind, name, " [default: the preset's]") for name in overrides(kind)]


def job_from(kind: type[Job], given: dict[str, Any]) -> Any:
    """Return the job that the options ask for.

    Raises
    ------
    BadInput
        If a value is refused; the sentence names the option.
    """
    values = {name: value for name, value in given.items() if value not in (None, ())}
    for name, value in values.items():
        if isinstance(value, tuple) and isinstance(value[0], str):
            values[name] = [item for text in value for item in split_names(text)]
    try:
        return kind(**values)
    except ValidationError as error:
        raise BadInput(f"{what_is_wrong(error, as_option=True)}.") from None


def _parameter(kind: type[Job], name: str, default: str = "") -> click.Parameter:
    field = kind.model_fields[name]
    place = next((mark for mark in field.metadata if isinstance(mark, Argument)), None)
    what, many = _bare(field.annotation)
    if place is not None:
        count = -1 if many else 1
        return click.Argument(
            [name],
            type=_TYPES[what],
            nargs=count,
            required=field.is_required(),
            metavar=place.metavar + ("..." if many else ""),
        )
    if not default and field.default is not None and not field.is_required():
        default = f" [default: {field.default}]"
    text = f"{field.description}{default if what is not bool else default.lower()}"
    option = option_name(name)
    if what is bool:
        spelt = option if field.default is False else f"{option}/{option.replace('--', '--no-', 1)}"
        text = text.removesuffix(" [default: false]")
        return click.Option([spelt], default=None, help=text, is_flag=True)
    metavar = None  # click's own
    if any(isinstance(mark, ModelReference) for mark in field.metadata):
        metavar = "MODEL"
    elif many:
        metavar = "NAME,..."
    return click.Option(
        [option],
        type=click.Choice(get_args(what)) if get_origin(what) is Literal else _TYPES[what],
        multiple=many,
        required=field.is_required(),
        default=None,
        metavar=metavar,
        help=text,
    )


def _bare(annotation: Any) -> tuple[Any, bool]:
    """Return a field's type without None, list and marks, and whether it was a list."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _bare(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        # A number or a word: taken as text, which the job itself reads.
        return _bare(parts[0]) if len(parts) == 1 else (str, False)
    if origin is list:
        return _bare(get_args(annotation)[0])[0], True
    return annotation, False
