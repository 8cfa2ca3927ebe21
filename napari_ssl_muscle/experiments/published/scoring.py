"""Score a fine-tuning: segment the scans of a part of its fold and count voxels slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ssl_muscle.evaluation.alignment import labelled_slices
from napari_ssl_muscle.evaluation.dice import SliceCounts, count_slices
from napari_ssl_muscle.experiments.published.files import COUNT_COLUMNS, COUNTS, EXAMPLES, RUNS
from napari_ssl_muscle.experiments.published.plan import Fold, Plan
from napari_ssl_muscle.experiments.published.training import TEST, VALIDATION
from napari_ssl_muscle.experiments.published.trial import Trial
from napari_ssl_muscle.files import csv_text, write_text, write_whole
from napari_ssl_muscle.jobs.training_data.labelled import labelled_cases
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import ShouldStop
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.split import case_and_slice

BACKGROUND = "background"


def score(trial: Trial, plan: Plan, out: Path, part: str, stop: ShouldStop) -> None:
    """Segment the scans of `part` ("validation" or "test") and write the counts of the run.

    Slices with a label are scored, on the scan's own grid; of a part that is made of slices,
    just those.

    Raises
    ------
    BadInput
        If a file of the cohort cannot be used any more.
    StoppedByUser
        If `stop` said so.
    """
    from napari_ssl_muscle.learning.data.image_cache import read_channels
    from napari_ssl_muscle.learning.models.model_file import load_model
    from napari_ssl_muscle.learning.predict import segment_volume

    run = out / RUNS / trial.run
    model = load_model(run)
    cohort = open_cohort(Path(plan.cohort.folder))
    muscles = (cohort.table or table_of(cohort)).select(plan.cohort.muscles)
    fold = plan.fold(trial.fold)
    cases, _ = labelled_cases(cohort, plan.cohort.channels)
    rows: list[dict[str, Any]] = []
    examples: dict[str, tuple[NDArray[Any], ...]] = {}
    spacing: dict[str, tuple[float, float]] = {}
    for case in sorted(cases, key=lambda case: (case.subject, case.name)):
        assert case.labels is not None
        values = case.labels.read()
        seen = _slices(fold, part, case, np.flatnonzero(labelled_slices(values)))
        if not len(seen):
            continue
        geometry = case.scans[0].geometry
        channels = read_channels(case)
        found = segment_volume(
            model,
            channels,
            geometry.spacing,
            device=plan.device,
            thread_count=plan.threads,
            stop=stop,
        )
        predicted, reference = muscles.encode(found.labels)[seen], muscles.encode(values)[seen]
        counts = count_slices(predicted, reference, range(1, len(muscles.muscles) + 1))
        rows += _rows(case, seen, counts, (BACKGROUND, *muscles.names))
        # The slice with the most labelled voxels shows the muscles best.
        k = int((reference > 0).sum(axis=(1, 2)).argmax())
        examples.setdefault(case.subject, (channels[0][seen[k]], reference[k], predicted[k]))
        spacing.setdefault(case.subject, (geometry.spacing[1], geometry.spacing[2]))
    if part == TEST:
        write_whole(
            run / EXAMPLES.format(part=part), lambda path: _save_examples(path, examples, spacing)
        )
    write_text(run / COUNTS.format(part=part), csv_text(COUNT_COLUMNS, rows))


def _slices(
    fold: Fold, part: str, case: TrainingCase, labelled: NDArray[np.integer[Any]]
) -> NDArray[np.integer[Any]]:
    """Return the slices of a case that a part scores, of those that are labelled."""
    members = fold.validation if part == VALIDATION else fold.test
    if part == VALIDATION and fold.held_out:
        wanted: Iterable[int] = fold.held_out.get(case.name, ())
    elif fold.unit == "subject":
        return labelled if case.subject in members else labelled[:0]
    else:
        named = map(case_and_slice, members)
        wanted = [int(z) for name, z in named if name == case.name]
    return labelled[np.isin(labelled, list(wanted))]


def _rows(
    case: TrainingCase,
    seen: NDArray[np.integer[Any]],
    counts: SliceCounts,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    return [
        {
            "subject": case.subject,
            "case": case.name,
            "slice": int(z),
            "muscle": name,
            "both": int(counts.both[i, c]),
            "predicted": int(counts.prediction[i, c]),
            "reference": int(counts.reference[i, c]),
        }
        for i, z in enumerate(seen)
        for c, name in enumerate(names)
    ]


def _save_examples(
    path: Path,
    examples: Mapping[str, tuple[NDArray[Any], ...]],
    spacing: Mapping[str, tuple[float, float]],
) -> None:
    arrays: dict[str, Any] = {
        "subjects": np.array(list(examples)),
        "spacing": np.array(list(spacing.values()), dtype=np.float64),
    }
    for k, (image, reference, predicted) in enumerate(examples.values()):
        arrays[f"image_{k}"] = image.astype(np.float32)
        arrays[f"reference_{k}"] = reference.astype(np.uint8)
        arrays[f"predicted_{k}"] = predicted.astype(np.uint8)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)
