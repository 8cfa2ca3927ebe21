"""The shell command that equals a job, to show in the window and to copy.

An option's name is the field's, with dashes; an option that equals its default is left out; a
list of names is one option each, quoted as in CSV where a name holds a comma.
"""

from __future__ import annotations

import csv
import io
import os
import shlex
import subprocess

from napari_ssl_muscle.jobs.settings import AnyJob, Argument, main_fields, overrides

PROGRAM = "ssl-muscle"


def shell_command(job: AnyJob) -> str:
    """Return the line that does the same in a shell, quoted for the shell of this system."""
    words = [PROGRAM, *arguments(job)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def arguments(job: AnyJob) -> list[str]:
    """Return the words after the program's name: the action, its options, its arguments."""
    options: list[str] = []
    places: list[str] = []
    for name in main_fields(type(job)) + overrides(type(job)):
        field = type(job).model_fields[name]
        value = getattr(job, name)
        if any(isinstance(mark, Argument) for mark in field.metadata):
            given = value if isinstance(value, list) else [value]
            places += [str(item) for item in given if item is not None]
        elif field.is_required() or value != field.default:
            options += _option(name, value)
    # Without the two dashes, a file name that begins with a dash would be taken for an option.
    dashes = ["--"] if any(place.startswith("-") for place in places) else []
    return [job.action, *options, *dashes, *places]


def option_name(field: str) -> str:
    """Return the option of a field: two dashes, and dashes inside."""
    return "--" + field.replace("_", "-")


def split_names(text: str) -> list[str]:
    """Return the names in what was given to one option: separated by commas, quotes respected."""
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    return [name for row in rows for name in row]


def _option(name: str, value: object) -> list[str]:
    option = option_name(name)
    if isinstance(value, bool):
        return [option if value else option.replace("--", "--no-", 1)]
    if isinstance(value, list):
        return [word for item in value for word in _with_value(option, _quoted(str(item)))]
    return _with_value(option, str(value))


def _with_value(option: str, value: str) -> list[str]:
    return [f"{option}={value}"] if value.startswith("-") else [option, value]


def _quoted(name: str) -> str:
    """Return a name so that `split_names` gives exactly it."""
    if not any(mark in name for mark in ',"\r\n'):
        return name
    return '"' + name.replace('"', '""') + '"'
