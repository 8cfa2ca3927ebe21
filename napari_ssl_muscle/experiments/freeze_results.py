"""What a comparison of freeze modes found: one row for each mode, as CSV, JSON and text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.freeze_plot import write_curves
from napari_ssl_muscle.files import write_json, write_text, write_whole
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, MODEL, read_epochs
from napari_ssl_muscle.jobs.text import FROZEN, format_duration
from napari_ssl_muscle.learning.models.card import ModelCard, read_card
from napari_ssl_muscle.learning.models.safetensors_header import read_header
from napari_ssl_muscle.text_table import aligned, number

TABLE = "freezing.csv"
FIGURES = "freezing.json"
PLOT = "freezing.png"

_FORMAT = 1


class ModeResult(BaseModel):
    """How the training of one freeze mode ended."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    mode: str
    trainable: int
    """How many numbers of the network learned."""
    parameters: int
    """How many it has."""
    steps: int
    """Steps that were done; fewer than planned where the validation got no better."""
    best_step: int
    """Step whose weights were kept; -1 for the last."""
    seconds: float
    dice: dict[str, float]
    """Muscle → validation Dice of the kept weights, and "mean", as on the model's card."""
    muscles: list[str]
    model: str
    """The model file, relative to the folder of the comparison."""
    seed: int
    split_hash: str | None
    leaking: bool
    notes: list[str]
    versions: dict[str, str]


class FreezeComparison(BaseModel):
    """Everything in `freezing.json`.

    Modes are in the order in which they were trained; those that are not done yet are left out.
    """

    model_config = ConfigDict(frozen=True)

    format: int = _FORMAT
    start: str
    """What all modes started from."""
    labels: str
    """Hash of the labels and of the slices that may train."""
    validated_on: str = ""
    modes: list[ModeResult] = []


def progress_of(run: Path) -> dict[str, Any]:
    """Return where a run stands (`learning.checkpoint.Place` as data).

    Raises
    ------
    BadInput
        If its checkpoint cannot be read.
    """
    path = run / CHECKPOINT
    try:
        place: dict[str, Any] = json.loads(read_header(path).metadata["place"])
    except (KeyError, ValueError) as error:
        raise BadInput(f"{path} is no checkpoint; start a new comparison.") from error
    return place


def result_of(run: Path, mode: str, learning: dict[str, int]) -> ModeResult:
    """Return what the finished run of a mode left behind.

    Parameters
    ----------
    run
        Its folder.
    mode
        The freeze mode.
    learning
        Freeze mode → how many numbers learn; "none" is all of them.

    Raises
    ------
    BadInput
        If a file of it cannot be read.
    """
    card: ModelCard = read_card(run / MODEL)
    place = progress_of(run)
    assert card.recipe is not None
    return ModeResult(
        mode=mode,
        trainable=learning[mode],
        parameters=learning["none"],
        steps=place["step"],
        best_step=place["best_step"],
        seconds=place["seconds"],
        dice=card.dice,
        muscles=card.muscle_names,
        model=f"{run.name}/{MODEL}",
        seed=card.recipe.training.seed,
        split_hash=card.split_hash,
        leaking=card.leaking,
        notes=card.notes,
        versions=card.versions,
    )


def write_results(out: Path, found: FreezeComparison) -> list[Path]:
    """Write table, figures and plot of what is done so far; return the files."""
    files = [out / TABLE, out / FIGURES, out / PLOT]
    write_text(files[0], csv_of(found.modes))
    write_json(files[1], found.model_dump(mode="json"))
    curves = {result.mode: list(read_epochs(out / result.mode).values()) for result in found.modes}
    write_whole(files[2], lambda part: write_curves(part, curves))
    return files


def read_comparison(out: Path) -> FreezeComparison | None:
    """Read `freezing.json` of a folder; None where there is none yet.

    Raises
    ------
    BadInput
        If it is of another program or a newer version.
    """
    path = out / FIGURES
    try:
        found = FreezeComparison.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BadInput(f"{path} is no comparison of freeze modes; use another --out.") from error
    if found.format > _FORMAT:
        raise BadInput(f"{path} was written by a newer version of this program; update it.")
    return found


def csv_of(results: Sequence[ModeResult]) -> str:
    """Return one row for each mode: what learned, time, Dice on average and per muscle."""
    muscles = list(dict.fromkeys(name for result in results for name in result.muscles))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        [
            *("mode", "trainable_parameters", "parameters", "steps", "best_step", "seconds"),
            *("mean_dice", *(f"dice {name}" for name in muscles)),
            *("model", "seed", "split_hash", "versions"),
        ]
    )
    for result in results:
        dice = [result.dice.get(name) for name in ("mean", *muscles)]
        table.writerow(
            [
                *(result.mode, result.trainable, result.parameters, result.steps),
                *(result.best_step, f"{result.seconds:.1f}"),
                *("" if value is None else value for value in dice),
                *(result.model, result.seed, result.split_hash or ""),
                "; ".join(f"{name} {version}" for name, version in result.versions.items()),
            ]
        )
    return text.getvalue()


def in_text(results: Sequence[ModeResult]) -> str:
    """Return the rows as a table for the screen."""
    muscles = list(dict.fromkeys(name for result in results for name in result.muscles))
    rows = [["", "learns", "time", "Dice", *muscles]]
    rows += [
        [
            FROZEN[result.mode],
            format_learning(result.trainable, result.parameters),
            format_duration(result.seconds),
            *(number(result.dice.get(name), 3) for name in ("mean", *muscles)),
        ]
        for result in results
    ]
    return aligned(rows)


def format_learning(trainable: int, parameters: int) -> str:
    """Return how much of a network learns: "1.2 of 1.9 million", "119 of 1.9 million"."""
    million = 1_000_000
    if trainable >= million / 20:
        return f"{trainable / million:.1f} of {parameters / million:.1f} million"
    whole = f"{parameters / million:.1f} million" if parameters >= million / 20 else None
    return f"{trainable:,} of {whole or f'{parameters:,}'}"
