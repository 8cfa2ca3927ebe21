"""Compare reconstructions: two pretrainings on the same slices under the same masks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ssl_muscle.evaluation.provenance import known_subjects
from napari_ssl_muscle.files import write_json, write_whole
from napari_ssl_muscle.jobs.recipe import pretext_with
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_results
from napari_ssl_muscle.jobs.settings import CompareReconstructionsJob
from napari_ssl_muscle.jobs.training_data.unlabelled import unlabelled_cases
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, ShouldStop, emit_warnings, report_steps
from napari_ssl_muscle.learning.models.card import ModelCard, find_model, read_card
from napari_ssl_muscle.learning.pretext.comparison import (
    ScanToRestore,
    check_comparable,
    masked_errors,
    middle_slices,
    pretext_of,
)
from napari_ssl_muscle.learning.settings import PretextSettings
from napari_ssl_muscle.scans.cohort import Cohort, open_cohort
from napari_ssl_muscle.text_table import aligned, number

if TYPE_CHECKING:
    from napari_ssl_muscle.learning.pretext.comparison import ReconstructionComparison

STRIPS = "reconstructions.png"
FIGURES = "reconstructions.json"


@dataclass(frozen=True)
class _Compared:
    """One scan's slices."""

    case: TrainingCase
    comparison: ReconstructionComparison


def prepare(job: CompareReconstructionsJob) -> PreparedJob:
    """Check runs, scans and the folder for the results; return the work.

    Raises
    ------
    BadInput
        If a run is no pretraining, the two do not compare, or no scan can be used.
    """
    paths = [find_model(run) for run in (job.first, job.second)]
    cards = [read_card(path) for path in paths]
    check_comparable(cards)
    pretext = pretext_with(job, pretext_of(cards[0]))
    cohort = open_cohort(job.cohort)
    found = unlabelled_cases([cohort], channels=_channels(job, cards[0], cohort), volume=job.volume)
    check_results(job.out, (STRIPS, FIGURES), overwrite=job.overwrite)
    chosen = choose_slices(found.cases, job.slices)
    names = labels_of(cards, paths)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.data.image_cache import read_channels
        from napari_ssl_muscle.learning.data.slices import lies_left
        from napari_ssl_muscle.learning.models.model_file import load_model
        from napari_ssl_muscle.learning.pretext.reconstruction import compare_scans
        from napari_ssl_muscle.learning.pretext.strips import write_strips
        from napari_ssl_muscle.learning.training.device import threads

        seen = _seen(cards, names, [case for case, _ in chosen])
        emit_warnings(emit, [*found.warnings, *seen])
        scans = [
            ScanToRestore(
                case.name,
                partial(read_channels, case),
                case.scans[0].geometry.spacing,
                lies_left(case.scans[0].geometry),
                slices,
            )
            for case, slices in chosen
        ]
        with threads(job.threads):
            comparisons = compare_scans(
                [load_model(path) for path in paths],
                scans,
                pretext=pretext,
                seed=job.seed,
                progress=report_steps(emit, stop),
            )
        compared = [_Compared(case, c) for (case, _), c in zip(chosen, comparisons, strict=True)]
        files = [job.out / STRIPS, job.out / FIGURES]
        titles = [_rows(one) for one in compared]
        write_whole(
            files[0],
            lambda part: write_strips(part, [one.comparison for one in compared], titles, names),
        )
        content = _content(job, pretext, compared, names, cards)
        write_json(files[1], content)
        text = _table(compared, names, content)
        return saved_results(job.out, files, text, errors=content["masked_error"])

    return work


def choose_slices(
    cases: Sequence[TrainingCase], count: int
) -> list[tuple[TrainingCase, list[int]]]:
    """Choose slices spread evenly over the scans, and over each scan; each with its z, ascending.

    Every scan counts alike, however many slices it has.
    """
    count = min(count, sum(_depth(case) for case in cases))
    wanted = [0] * len(cases)
    if count < len(cases):
        for k in range(count):
            wanted[(2 * k + 1) * len(cases) // (2 * count)] = 1
    while sum(wanted) < count:
        for index, case in enumerate(cases):
            if sum(wanted) < count and wanted[index] < _depth(case):
                wanted[index] += 1
    return [
        (case, middle_slices(_depth(case), n)) for case, n in zip(cases, wanted, strict=True) if n
    ]


def labels_of(cards: Sequence[ModelCard], paths: Sequence[Path]) -> list[str]:
    """Return names that tell the runs apart, even where their cards have the same one."""
    names = [card.name for card in cards]
    if len(set(names)) == len(names):
        return names
    return [f"{letter}: {name}" for letter, name in zip("AB", names, strict=True)]


def _depth(case: TrainingCase) -> int:
    depth: int = case.scans[0].geometry.canonical_shape[0]
    return depth


def _channels(job: CompareReconstructionsJob, card: ModelCard, cohort: Cohort) -> list[str] | None:
    """Return the channels to restore together; None takes every image by itself."""
    if job.channels is not None:
        return list(job.channels)
    if len(card.channels) == 1 and card.channels[0] not in cohort.channels:
        return None
    return list(card.channels)


def _seen(
    cards: Sequence[ModelCard], names: Sequence[str], cases: Sequence[TrainingCase]
) -> list[str]:
    notes = []
    for card, name in zip(cards, names, strict=True):
        known = known_subjects((case.subject for case in cases), card.training_subjects)
        if known:
            notes.append(
                f"{name} learned from scans of {', '.join(known)} (by name), "
                "which flatters its errors on them."
            )
    return notes


def _rows(one: _Compared) -> list[str]:
    """Return what each image is called: scan, slice (from 1), crop where there are several."""
    several = len(set(one.comparison.legs.tolist())) > 1
    return [
        f"{one.case.name}, slice {z + 1}" + (f", crop {leg + 1}" if several else "")
        for leg, z in zip(one.comparison.legs, one.comparison.slices, strict=True)
    ]


def _content(
    job: CompareReconstructionsJob,
    pretext: PretextSettings,
    compared: Sequence[_Compared],
    names: Sequence[str],
    cards: Sequence[ModelCard],
) -> dict[str, Any]:
    comparisons = [one.comparison for one in compared]
    *inside, constant = masked_errors(comparisons).overall.tolist()
    whole = {
        name: float(np.mean(np.concatenate([c.runs[i].image_error for c in comparisons])))
        for i, name in enumerate(names)
    }
    images = [
        {
            "image": title,
            "case": one.case.name,
            "subject": one.case.subject,
            "slice": int(one.comparison.slices[i]),
            "crop": int(one.comparison.legs[i]),
            "masked_pixels": int(one.comparison.masked_pixels[i]),
            "masked_error": {
                name: _number(run.masked_error[i])
                for name, run in zip(names, one.comparison.runs, strict=True)
            },
            "image_error": {
                name: _number(run.image_error[i])
                for name, run in zip(names, one.comparison.runs, strict=True)
            },
            "constant_error": _number(one.comparison.constant_error[i]),
        }
        for one in compared
        for i, title in enumerate(_rows(one))
    ]
    return {
        "format": 1,
        "runs": {
            name: {"model": card.name, "transductive": card.transductive}
            for name, card in zip(names, cards, strict=True)
        },
        "pretext": pretext.model_dump(mode="json"),
        "seed": job.seed,
        "masked_error": {name: _number(value) for name, value in zip(names, inside, strict=True)},
        "image_error": {name: _number(value) for name, value in whole.items()},
        "constant_error": _number(constant),
        "images": images,
    }


def _table(compared: Sequence[_Compared], names: Sequence[str], content: dict[str, Any]) -> str:
    rows = [["error inside the masks", *names, "a constant"]]
    for image in content["images"]:
        figures = [*image["masked_error"].values(), image["constant_error"]]
        rows.append([image["image"], *(number(figure, 4) for figure in figures)])
    figures = [*content["masked_error"].values(), content["constant_error"]]
    rows.append(["all masked pixels", *(number(figure, 4) for figure in figures)])
    return aligned(rows, 100)


def _number(value: float) -> float | None:
    """Return a figure for JSON, which has no NaN."""
    return float(value) if math.isfinite(value) else None
