"""What a study has on disk, and how it is read: by the report, and by a study that goes on.

OUT/ holds

- `plan.json`: the `Plan`.
- `trials.csv`: a row for each finished trial, `TRIAL_COLUMNS`, in the order of the plan.
- `dice.csv`: 3D Dice per subject and muscle of each finished trial, `DICE_COLUMNS`.
- `choices.csv`: what each experiment chose in each fold, `CHOICE_COLUMNS`.
- `folds/FOLD.json`: the split of each fold that has no held-out slices.
- `runs/RUN/`: run folders. Besides what every training leaves there (`job.json`, `metrics.csv`:
  the learning curve, a row an epoch, `model.safetensors`, of a pretraining also `probes.npz`, see
  `learning/pretext/probes.py`), there is `trial.json`; a fine-tuning has
  `counts-validation.csv` and, where it was tested, `counts-test.csv` and `examples-test.npz`.
- `report.html` and the report's own tables.

The tables are made anew from the run folders whenever a trial ends: their rows do not depend on
how many workers there were. Fields without a value are empty. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import read_rows
from napari_ssl_muscle.experiments.published.plan import FORMAT, Plan
from napari_ssl_muscle.files import write_json

PLAN = "plan.json"
TRIALS = "trials.csv"
DICE = "dice.csv"
CHOICES = "choices.csv"
RUNS = "runs"
FOLDS = "folds"
REPORT = "report.html"

COUNTS = "counts-{part}.csv"
"""Of a run, in canonical slices on the scan's own grid: `COUNT_COLUMNS`; part: validation, test."""

RESULT = "trial.json"
"""Of a run: columns of `trials.csv` that its own files give, written when it is trained."""

EXAMPLES = "examples-{part}.npz"
"""Of a run: an example slice of each subject, for figures.

Arrays `image` (n) of float32 (y, x), `reference` and `predicted` (n) of uint8 (y, x), as
`image_0`, `reference_0`, `predicted_0`, …; `subjects` (n) text; class 0 is background, class k the
k-th of the plan's muscles; `spacing` (n, 2): mm from row to row and from column to column.
"""

TRIAL_COLUMNS = (
    "trial",  # Trial.id
    "experiment",
    "arm",
    "cell",  # cell_name(Trial.cell)
    "kind",  # pretrain or finetune
    "fold",
    "split",  # subject or slice
    "leaking",  # 0 or 1
    "split_hash",  # Fold.hash
    "seed",
    "labelled",  # number of labelled subjects
    "labelled_subjects",  # separated by spaces
    "start",  # scratch, or the run of the pretraining
    "run",  # folder in runs/
    "settings",  # JSON: fields of the job besides the preset's
    "steps",
    "best_step",  # step whose weights were kept; empty for the last
    "seconds",
    "device",
    "threads",
    "parameters",
    "trainable",
    "validation_dice",  # mean over subjects of the mean over muscles, 3D on the scan's grid
    "test_dice",  # likewise; empty unless tested
    "masked_error",  # of a pretraining: mean squared error inside the masks
    "image_error",  # of a pretraining: over the whole image
    "constant_error",  # of a pretraining: what a constant reaches inside the masks
)
"""Columns of `trials.csv`."""

DICE_COLUMNS = ("trial", "part", "subject", "muscle", "dice", "slices")
"""Columns of `dice.csv`; part is "validation" or "test", slices how many were scored.

Dice is empty for a muscle in neither prediction nor reference.
"""

CHOICE_COLUMNS = ("experiment", "arm", "fold", "cell", "validation_dice", "seeds", "rank", "chosen")
"""Columns of `choices.csv`.

A row for each cell that was compared: its Dice, averaged over `seeds` (a number), its rank from 1,
and whether it was chosen (0 or 1). Experiments 1 and 2 choose the pretraining of all arms, with
the arm "pretrained"; experiment 2 may choose two.
"""

COUNT_COLUMNS = ("subject", "case", "slice", "muscle", "both", "predicted", "reference")
"""Columns of `counts-*.csv`: voxels of a muscle in a slice, in both, one and the other.

The muscle "background" is there, too. All variants of Dice follow from these counts: with
`evaluation.dice.SliceCounts`, for example. Slices are in order, subject by subject.
"""


def write_plan(plan: Plan, out: Path) -> None:
    """Write `plan.json`, its folders as seen from `out`.

    So they hold no name of a home folder, and cohort and study can be moved together.
    """
    stored = _with_folders(plan, lambda folder: seen_from(out, folder))
    write_json(out / PLAN, stored.model_dump(mode="json"))


def seen_from(out: Path, folder: str | Path) -> str:
    """Return a folder relative to `out`, with "/"; on another drive its absolute path."""
    try:
        return Path(os.path.relpath(folder, out)).as_posix()
    except ValueError:
        return str(Path(folder).absolute())


def _with_folders(plan: Plan, changed: Callable[[str], str]) -> Plan:
    """Return a plan with its folders changed by a function."""
    cohort = plan.cohort.model_copy(update={"folder": changed(plan.cohort.folder)})
    scans = tuple(changed(folder) for folder in plan.scans)
    return plan.model_copy(update={"cohort": cohort, "scans": scans})


def read_plan(out: Path) -> Plan:
    """Read `plan.json`; its folders are absolute then.

    Raises
    ------
    BadInput
        If it is missing, of another program or of a newer version.
    """
    path = out / PLAN
    try:
        plan = Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{out} holds no experiments ({PLAN} is missing).") from None
    except (OSError, ValidationError) as error:
        raise BadInput(f"{path} is no plan of experiments; use another --out.") from error
    if plan.format > FORMAT:
        raise BadInput(f"{path} was written by a newer version of this program; update it.")
    here = out.absolute()
    # Absolute ones, as older versions wrote them, stay as they are.
    return _with_folders(plan, lambda folder: os.path.normpath(here / folder))


def read_trials(out: Path) -> list[dict[str, str]]:
    """Read the rows of `trials.csv`; none before the first trial is finished."""
    return read_rows(out / TRIALS)


def read_dice(out: Path) -> list[dict[str, str]]:
    """Read the rows of `dice.csv`."""
    return read_rows(out / DICE)


def read_choices(out: Path) -> list[dict[str, str]]:
    """Read the rows of `choices.csv`."""
    return read_rows(out / CHOICES)


def read_counts(out: Path, run: str, part: str) -> list[dict[str, str]]:
    """Read the counts of a run; none where that part was not scored."""
    return read_rows(out / RUNS / run / COUNTS.format(part=part))
