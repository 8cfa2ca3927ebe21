"""A job's fields as the shell's options, and the command line of a job."""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.fields import (
    Argument,
    ModelReference,
    Override,
    bare_type,
    marked,
    option_name,
)
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.jobs.job_file import what_is_wrong
from napari_ssl_muscle.jobs.preset_values import describe_default
from napari_ssl_muscle.jobs.settings import AnyJob, LearningJob

_TYPES: dict[Any, Any] = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}


_LAST = ("seed", "device", "threads", "overwrite")
"""Settings of how an action computes and writes, listed after those of what it does."""


def main_fields(kind: type[Job]) -> list[str]:
    """Return an action's settings that are no `overrides`, in the order of the shell's help."""

    def rank(name: str) -> int:
        field = kind.model_fields[name]
        if marked(field, Argument):
            return 0
        if field.is_required():
            return 1
        if name in _LAST:
            return len(kind.__mro__) + 1
        if marked(field, Override):
            return len(kind.__mro__)
        # An action's own ones before those that it shares with others: pydantic has a base
        # class's first.
        return 1 + sum(name in base.model_fields for base in kind.__mro__ if issubclass(base, Job))

    later = {"action", *overrides(kind)}
    return sorted((name for name in kind.model_fields if name not in later), key=rank)


def overrides(kind: type[Job]) -> list[str]:
    """Return the names of the settings that override the preset's (None: leave it).

    An action's own ones come before those that all trainings share.
    """
    if not issubclass(kind, LearningJob):
        return []
    names = [name for name, field in kind.model_fields.items() if marked(field, Override)]
    return sorted(names, key=lambda name: name in LearningJob.model_fields)


def options_of(kind: type[Job]) -> list[click.Parameter]:
    """Return one option or argument for every field of a job.

    Their default is always None, so that the job's own defaults apply.
    """
    made = [_parameter(kind, name) for name in main_fields(kind)]
    return made + setting_options(kind, overrides(kind))


def setting_options(kind: type[Job], names: Iterable[str]) -> list[click.Parameter]:
    """Return the options of some of a job's settings that override the preset's."""
    return [_parameter(kind, name, f" [default: {describe_default(name)}]") for name in names]


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
    place = marked(field, Argument)
    what, many = bare_type(field.annotation)
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
    if marked(field, ModelReference):
        metavar = "MODEL"
    elif many and what not in (Path, int, float):
        metavar = "NAME,..."
    kind_of_value: Any = _TYPES.get(what, click.STRING)
    if get_origin(what) is Literal and not many:
        kind_of_value = click.Choice(get_args(what))
    return click.Option(
        [option],
        type=kind_of_value,
        multiple=many,
        required=field.is_required(),
        default=None,
        metavar=metavar,
        help=text,
    )


PROGRAM = "ssl-muscle"


def shell_command(job: AnyJob) -> str:
    """Return the command line of a job, quoted for the shell of this system."""
    words = [PROGRAM, *arguments(job)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def arguments(job: AnyJob) -> list[str]:
    """Return the command line's parts after the program: the action, its options, its arguments."""
    options: list[str] = []
    places: list[str] = []
    for name in main_fields(type(job)) + overrides(type(job)):
        field = type(job).model_fields[name]
        value = getattr(job, name)
        if marked(field, Argument):
            given = value if isinstance(value, list) else [value]
            places += [str(item) for item in given if item is not None]
        elif field.is_required() or value != field.default:
            options += _option(name, value)
    # Without the two dashes, a file name that begins with a dash would be taken for an option.
    dashes = ["--"] if any(place.startswith("-") for place in places) else []
    return [job.action, *options, *dashes, *places]


def split_names(text: str) -> list[str]:
    """Return the names in what was given to one option: separated by commas, quotes respected."""
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    return [name for row in rows for name in row]


def _option(name: str, value: object) -> list[str]:
    option = option_name(name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, list):
        return [word for item in value for word in _with_value(option, _quoted(item))]
    return _with_value(option, str(value))


def _with_value(option: str, value: str) -> list[str]:
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def _quoted(item: object) -> str:
    """Return an item of a list as text, a name quoted for `split_names`; paths are not split."""
    name = str(item)
    if not isinstance(item, str) or not any(mark in name for mark in ',"\r\n'):
        return name
    return '"' + name.replace('"', '""') + '"'
