"""A job as a file: `job.json` in the folder of every run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_text
from napari_ssl_muscle.jobs.fields import ModelReference, Override, marked, option_name
from napari_ssl_muscle.jobs.settings import JOBS, AnyJob
from napari_ssl_muscle.learning.settings import Recipe

_RECIPE = "recipe"
"""Key of `job.json` with all settings of a training."""

_ADAPTER: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


def absolute(job: AnyJob) -> AnyJob:
    """Return the job with every path made absolute."""
    values: dict[str, Any] = {}
    for name, field in type(job).model_fields.items():
        value = getattr(job, name)
        if isinstance(value, Path):
            values[name] = value.absolute()
        elif isinstance(value, list):
            values[name] = [v.absolute() if isinstance(v, Path) else v for v in value]
        elif isinstance(value, str) and marked(field, ModelReference) is not None:
            values[name] = str(Path(value).absolute()) if Path(value).exists() else value
    return job.model_copy(update=values)


def write_job(path: Path, job: AnyJob, recipe: Recipe | None = None) -> None:
    """Write a job as JSON with absolute paths, whole or not at all.

    Parameters
    ----------
    path
        The file.
    job
        What was asked for.
    recipe
        All settings that a training uses: preset, overrides, and what a model brings along. Then
        overrides that were not asked for are left out. It is there to be read by people: a job
        that is repeated takes its recipe from its settings again.
    """
    content = absolute(job).model_dump(mode="json")
    if recipe is not None:
        fields = type(job).model_fields
        content = {
            name: value
            for name, value in content.items()
            if value is not None or marked(fields[name], Override) is None
        }
        content[_RECIPE] = recipe.model_dump(mode="json")
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_job(path: Path) -> AnyJob:
    """Read a job that `write_job` wrote.

    Raises
    ------
    BadInput
        If the file is missing, is no JSON or is no job; the message names what is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise BadInput(f"Cannot read the job {path}: {reason}.") from error
    try:
        return _ADAPTER.validate_json(_without_recipe(text))
    except ValidationError as error:
        raise BadInput(f"{path} is not a job: {what_is_wrong(error)}.") from error


def _without_recipe(text: str) -> str:
    """Return a job's JSON without what is there to be read by people only."""
    try:
        content = json.loads(text)
    except ValueError:
        return text  # whose fault is named where it is read
    if not isinstance(content, dict) or _RECIPE not in content:
        return text
    return json.dumps({name: value for name, value in content.items() if name != _RECIPE})


@contextmanager
def invalid_as_bad_input() -> Iterator[None]:
    """Turn what a job's class refuses into a `BadInput`."""
    try:
        yield
    except ValidationError as error:
        raise BadInput(f"{what_is_wrong(error)}.") from None


def what_is_wrong(error: ValidationError, *, as_option: bool = False) -> str:
    """Return the first error of a validation as one phrase without a full stop.

    `as_option` names the field as the shell's option (`--split-file`).
    """
    first = error.errors(include_url=False)[0]
    # The discriminator's value leads the place of an error in a job; it is no field.
    actions = {kind.model_fields["action"].default for kind in JOBS}
    place = [str(part) for part in first["loc"] if part not in actions]
    name = ".".join(place)
    if as_option and place:
        name = option_name(place[0])
    text = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    if first["type"] != "missing" and isinstance(given, str | int | float):
        text = f"{text} (it is {given!r})" if len(str(given)) < 80 else text
    return f"{name}: {text}" if name else text
