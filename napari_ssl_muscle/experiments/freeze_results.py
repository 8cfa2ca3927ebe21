"""What a comparison of freeze modes found: one row for each mode, as CSV, JSON and text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import write_rows
from napari_ssl_muscle.experiments.freeze_plot import write_curves
from napari_ssl_muscle.files import write_json, write_whole
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, MODEL, read_epochs
from napari_ssl_muscle.jobs.text import FREEZE_TITLES, format_duration
from napari_ssl_muscle.learning.models.card import read_card
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
    """Parameters that learned, of `parameters`."""
    parameters: int
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
    """Everything in `freezing.json`: the modes that are done, in the order of training."""

    model_config = ConfigDict(frozen=True)

    format: int = _FORMAT
    start: str
    """What all modes started from."""
    labels: str
    """Hash of the labels and of the slices that may train."""
    validated_on: str = ""
    modes: list[ModeResult] = []


def read_progress(run: Path) -> dict[str, Any]:
    """Return the training state in a run's checkpoint as data (`TrainingState`), without torch.

    Raises
    ------
    BadInput
        If the checkpoint cannot be read.
    """
    path = run / CHECKPOINT
    try:
        state: dict[str, Any] = json.loads(read_header(path).metadata["place"])
    except (KeyError, ValueError) as error:
        raise BadInput(f"{path} is no checkpoint; start a new comparison.") from error
    return state


def result_of(run: Path, mode: str) -> ModeResult:
    """Return what the finished run of a mode left behind; `BadInput` if it cannot be read."""
    # Here, because it imports torch: a request that is refused does not wait for it.
    from napari_ssl_muscle.learning.network.transfer import learning_by_mode

    card = read_card(run / MODEL)
    state = read_progress(run)
    learning = {
        str(name): count
        for name, count in learning_by_mode(card.network, card.in_channels, card.outputs).items()
    }
    assert card.recipe is not None
    return ModeResult(
        mode=mode,
        trainable=learning[mode],
        parameters=learning["none"],
        steps=state["step"],
        best_step=state["best_step"],
        seconds=state["seconds"],
        dice=card.dice,
        muscles=card.muscle_names,
        model=f"{run.name}/{MODEL}",
        seed=card.recipe.training.seed,
        split_hash=card.split_hash,
        leaking=card.leaking,
        notes=card.notes,
        versions=card.versions,
    )


def write_results(out: Path, found: FreezeComparison) -> None:
    """Write table, figures and plot of what is done so far."""
    write_rows(out / TABLE, [_row(result, _muscles(found.modes)) for result in found.modes])
    write_json(out / FIGURES, found.model_dump(mode="json"))
    curves = {result.mode: list(read_epochs(out / result.mode).values()) for result in found.modes}
    write_whole(out / PLOT, lambda part: write_curves(part, curves))


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
        raise BadInput(f"{path} is no comparison of freeze modes; use another folder.") from error
    if found.format > _FORMAT:
        raise BadInput(f"{path} was written by a newer version of this program; update it.")
    return found


def _row(result: ModeResult, muscles: Sequence[str]) -> dict[str, Any]:
    # Dice as text, because numbers would lose digits in CSV.
    dice = {name: str(value) for name, value in result.dice.items()}
    return {
        "mode": result.mode,
        "trainable_parameters": result.trainable,
        "parameters": result.parameters,
        "steps": result.steps,
        "best_step": result.best_step,
        "seconds": f"{result.seconds:.1f}",
        "mean_dice": dice.get("mean"),
        **{f"dice {name}": dice.get(name) for name in muscles},
        "model": result.model,
        "seed": result.seed,
        "split_hash": result.split_hash,
        "versions": "; ".join(f"{name} {number}" for name, number in result.versions.items()),
    }


def _muscles(results: Sequence[ModeResult]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result.muscles))


def format_results(results: Sequence[ModeResult]) -> str:
    """Return the rows as a table for the screen."""
    muscles = _muscles(results)
    rows = [["", "learns", "time", "Dice", *muscles]]
    rows += [
        [
            FREEZE_TITLES[result.mode],
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
