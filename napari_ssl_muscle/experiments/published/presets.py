"""The experiments of each preset: the published grid, and a demonstration of minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.plan import Experiment
from napari_ssl_muscle.experiments.published.trial import Value, arm_name
from napari_ssl_muscle.learning.settings import FreezeMode, PretextSettings, Recipe

Cells = tuple[dict[str, Value], ...]


@dataclass(frozen=True)
class GridPreset:
    """What a preset of the experiments decides.

    Attributes
    ----------
    base
        Settings of every training; the preset of the same name in `learning.settings` gives the
        rest.
    cells
        Key of an experiment → its cells.
    carried
        Arms that experiment 2 passes on whatever its outcome; empty: its best two.
    seeds
        Seeds of each training unless the user asks for others.
    by_subject
        Split 75, 12.5 and 12.5 % of the subjects even where there are few.
    folds
        Most folds in which the subjects test in turn, where there are few.
    labelled
        Largest number of labelled subjects at which scratch and pretrained are compared unless
        the user asks for others; None for all.
    """

    base: dict[str, Any]
    cells: dict[str, Cells]
    carried: tuple[str, ...]
    seeds: int
    by_subject: bool
    folds: int | None = None
    labelled: int | None = None


def grid(**values: Sequence[Value]) -> Cells:
    """Return a cell for each combination of values."""
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def _pretext_tasks() -> Cells:
    names = get_args(PretextSettings.model_fields["corruption"].annotation)
    return grid(corruption=names)


FREEZE_MODES: tuple[str, ...] = get_args(FreezeMode)

_PARAMETERS = grid(
    lr=(1e-6, 5e-6, 1e-5),
    optimizer=("rmsprop", "adam"),
    momentum=(0.85, 0.9, 0.95),
    batch=(1, 5, 10),
)
"""Published values, combined in full; Adam's beta1 takes the place of a momentum."""

PRESETS: dict[str, GridPreset] = {
    "poster": GridPreset(
        base={},
        cells={
            "0": _PARAMETERS,
            "1": _PARAMETERS,
            "2": grid(mask_percent=(10, 25, 50), kernel_size=(32, 16, 8)),
            "3": grid(freeze=FREEZE_MODES),
            "4": _PARAMETERS,
            "5": grid(width=(64, 128), depth=(4, 5)),
            "6": _pretext_tasks(),
        },
        carried=(arm_name(10, 16), arm_name(50, 16)),
        seeds=3,
        by_subject=True,
    ),
    "quick": GridPreset(
        # Pretext parameters are compared under the first masking of experiment 2, which then is
        # trained already. Five validations are enough for a curve and its spread.
        base={
            "steps": 150,
            "batch": 4,
            "validate_every": 30,
            "mask_percent": 50,
            "kernel_size": 16,
        },
        cells={
            "0": grid(lr=(6e-3, 2e-3)),
            "1": grid(lr=(6e-3, 2e-3)),
            "2": grid(mask_percent=(50, 10), kernel_size=(16,)),
            "3": grid(freeze=("none", "encoder")),
            "4": grid(lr=(6e-3, 2e-3)),
            "5": grid(width=(8, 16), depth=(4,)),
            "6": _pretext_tasks(),
        },
        carried=(),
        seeds=1,
        by_subject=False,
        folds=2,
        labelled=2,
    ),
}


def _experiment(key: str, name: str, question: str, **more: Any) -> Experiment:
    """Return an experiment whose cells come from the preset, unless they are given."""
    return Experiment(key=key, name=name, question=question, **{"cells": (), **more})


_EXPERIMENTS: dict[str, Experiment] = {
    found.key: found
    for found in (
        _experiment(
            "0",
            "Baseline network parameters",
            "Which learning rate, optimiser, momentum and batch size train best from scratch?",
            selects=True,
        ),
        _experiment(
            "1",
            "Pretext parameters",
            "Which parameters of the pretraining give the best start to the same fine-tuning?",
            varies="pretrain",
            selects=True,
        ),
        _experiment(
            "2",
            "Masking",
            "Which share of the image shall be masked, in squares of which size?",
            varies="pretrain",
            selects=True,
        ),
        _experiment(
            "3",
            "Frozen parts",
            "Which part of the pretrained network shall keep its weights?",
            selects=True,
        ),
        _experiment(
            "4",
            "Fine-tuning parameters",
            "Which parameters of the fine-tuning are best for each start?",
            selects=True,
        ),
        _experiment(
            "final",
            "Baseline and pretrained",
            "How good are the chosen models on subjects that nothing was chosen by?",
            cells=({},),
            tested=True,
        ),
        _experiment(
            "labelled",
            "Few labelled subjects",
            "What does pretraining gain where few subjects are labelled?",
            cells=({},),
            tested=True,
        ),
        _experiment(
            "5",
            "Deeper and larger networks",
            "Does a larger network gain, from scratch or pretrained?",
            varies="both",
            tested=True,
        ),
        _experiment(
            "6",
            "Other pretext tasks",
            "Does another pretext task give a better start?",
            varies="pretrain",
            tested=True,
        ),
        _experiment(
            "7",
            "More unlabelled scans",
            "Does pretraining on more scans give a better start?",
            varies="pretrain",
            tested=True,
        ),
    )
}

_FURTHER = (5, 6, 7)
"""Experiments that build on 0 to 2 and select nothing."""

_FOLLOWING = ("final", "labelled")
"""What follows experiment 4."""


def experiments_of(
    preset: str,
    asked: Sequence[int] | None,
    only: Sequence[str] | None,
    scans: Sequence[object],
) -> tuple[Experiment, ...]:
    """Return the experiments that were asked for and those that they build on, in order.

    Parameters
    ----------
    preset
        "poster" or "quick".
    asked
        Numbers; None for 0 to 4.
    only
        "SETTING=VALUE": a cell with that setting needs one of the values given for it.
    scans
        Folders that experiment 7 adds.

    Raises
    ------
    BadInput
        If there is no such experiment, no cell is left of one, or experiment 7 has nothing to add.
    """
    cells = dict(PRESETS[preset].cells)
    if scans:
        cells["7"] = grid(added_folders=(0, len(scans)))
    numbers = [int(key) for key in _EXPERIMENTS if key.isdecimal()]
    for number in asked or ():
        if number not in numbers:
            raise BadInput(
                f"There is no experiment {number}; there are {min(numbers)} to {max(numbers)}."
            )
        if str(number) not in cells:
            raise BadInput(
                f"Experiment {number} pretrains on more scans; give their folders with --scans."
            )
    wanted: set[str] = set()
    for number in asked or (4,):
        last = 2 if number in _FURTHER else number
        wanted |= {str(number), *(str(before) for before in range(last + 1))}
    if "4" in wanted:
        wanted |= set(_FOLLOWING)
    kept = _kept(only)
    chosen = [found for found in _EXPERIMENTS.values() if found.key in wanted]
    varied = {name for each in cells.values() for cell in each for name in cell}
    if unknown := set(kept) - varied:
        raise BadInput(
            f"No experiment varies {min(unknown)}; --only knows {', '.join(sorted(varied))}."
        )
    return tuple(_restricted(found, _cells(found, cells), kept) for found in chosen)


def _cells(experiment: Experiment, cells: dict[str, Cells]) -> Cells:
    return experiment.cells or cells[experiment.key]


def _kept(only: Sequence[str] | None) -> dict[str, list[str]]:
    kept: dict[str, list[str]] = {}
    for text in only or ():
        name, found, value = text.partition("=")
        if not found or not value.strip():
            raise BadInput(f"--only needs SETTING=VALUE, such as lr=1e-5, and got {text!r}.")
        kept.setdefault(name.strip().replace("-", "_"), []).append(value.strip())
    return kept


def _restricted(experiment: Experiment, cells: Cells, kept: dict[str, list[str]]) -> Experiment:
    left = tuple(
        cell
        for cell in cells
        if all(
            name not in cell or any(_is(cell[name], text) for text in texts)
            for name, texts in kept.items()
        )
    )
    if not left:
        # A grid is full, so that some name has none of its values left.
        name = next(
            name
            for name, texts in kept.items()
            if name in cells[0] and not any(_is(cell[name], t) for cell in cells for t in texts)
        )
        values = dict.fromkeys(f"{cell[name]}" for cell in cells)
        raise BadInput(
            f"The grid of experiment {experiment.key} would be empty: {name} has the values "
            f"{', '.join(values)}; keep one of them with --only."
        )
    return experiment.model_copy(update={"cells": left})


def _is(value: Value, text: str) -> bool:
    try:
        return float(value) == float(text)
    except ValueError:
        return str(value) == text


def defaults_of_varied(name: str, recipe: Recipe) -> dict[str, Value]:
    """Return what a recipe says of every setting that some experiment of a preset varies.

    Written out in the base of all trainings, so that a cell with the default is the same training
    as one without it.
    """
    sections = (recipe.network, recipe.training, recipe.pretext)
    known = {key: value for part in sections for key, value in part.model_dump().items()}
    known["freeze"] = "none"
    varied = {key for cells in PRESETS[name].cells.values() for cell in cells for key in cell}
    return {key: known[key] for key in sorted(varied)}
