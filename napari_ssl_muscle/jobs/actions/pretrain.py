"""Pretrain: find the scans, leave the test subjects out, and hand all of it to learning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.recipe import recipe_from
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.jobs.training_data.unlabelled import unlabelled_cases
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop
from napari_ssl_muscle.learning.models.card import find_model, read_card
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.split import Split, read_split


def prepare(job: PretrainJob) -> PreparedJob:
    """Check folders, headers, masks and model; return the work.

    Raises
    ------
    BadInput
        If no scan is left, squares do not fit into the images, or the model to start from is
        another network.
    """
    card = None if job.init is None else read_card(find_model(job.init))
    recipe, notes = recipe_from(job, card)
    folders = {folder.resolve(): folder for folder in job.cohorts}
    cohorts = [open_cohort(folder) for folder in folders.values()]
    split = None if job.split_file is None else read_split(job.split_file)
    tested = None if job.transductive else split
    there = {name for cohort in cohorts for name in cohort.subjects}
    found = unlabelled_cases(
        cohorts,
        channels=job.channels,
        volume=job.volume,
        leave_out=[*(job.leave_out or ()), *_subjects(tested, there)],
        held_out=_slices(tested),
    )
    check_squares(recipe, found.cases)
    about = _about(job, split, tested, there) + found.notes

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.pretext.probes import STRIPS
        from napari_ssl_muscle.learning.pretrain import pretrain
        from napari_ssl_muscle.learning.training.session import RunOptions

        for text in found.warnings:
            emit(Note(text=text, warning=True))
        for text in [*notes, *about]:
            emit(Note(text=text))
        result = pretrain(
            found.cases,
            recipe,
            RunOptions(job.out, emit, stop, init=job.init, resume=job.resume),
            channels=job.channels,
            transductive=job.transductive,
            about=about,
        )
        files = [result.model, *(path for path in [job.out / STRIPS] if path.exists())]
        return Outcome(_result(job, files, result.metrics), result.stopped)

    return work


def check_squares(recipe: Recipe, cases: Sequence[TrainingCase]) -> None:
    """Refuse squares that no image of these scans can hold, from the headers alone.

    Cropped images may turn out smaller; that is found when they have been cut, before anything
    is learned.

    Raises
    ------
    BadInput
        If the kernel is larger than the image.
    """
    if recipe.pretext.corruption != "squares":
        return
    kernel, slices = recipe.pretext.kernel_size, recipe.slices
    if slices.size is not None:
        rows = columns = slices.size
    else:
        rows = columns = 0
        multiple = 2**recipe.network.depth
        for case in cases:
            geometry = case.scans[0].geometry
            shape, spacing = geometry.canonical_shape[1:], geometry.spacing[1:]
            pixels = [
                n if slices.spacing is None else round(n * mm / slices.spacing)
                for n, mm in zip(shape, spacing, strict=True)
            ]
            rows = max(rows, -(-pixels[0] // multiple) * multiple)
            columns = max(columns, -(-pixels[1] // multiple) * multiple)
    if kernel > min(rows, columns):
        raise BadInput(
            f"A square of {kernel} pixels does not fit into images of {rows} × {columns}; "
            "choose a smaller --kernel-size."
        )


def _subjects(split: Split | None, there: set[str]) -> list[str]:
    """Return the test subjects of a split that have scans here."""
    if split is None or split.unit != "subject":
        return []
    return [name for name in split.test if name in there]


def _slices(split: Split | None) -> dict[str, frozenset[int]]:
    """Return case → test slices of a split by slice."""
    slices: dict[str, frozenset[int]] = {}
    if split is not None and split.unit == "slice":
        for member in split.test:
            case, _, z = member.rpartition(":")
            slices[case] = slices.get(case, frozenset()) | {int(z)}
    return slices


def _about(
    job: PretrainJob, split: Split | None, tested: Split | None, there: set[str]
) -> list[str]:
    """Say what became of the test set, for the user and for the card."""
    if job.transductive:
        which = f" of split {split.hash} ({', '.join(split.test)})" if split else ""
        return [f"Transductive: images of the test set{which} take part."]
    if tested is None:
        return []
    if tested.unit == "slice":
        return [
            f"LEAKING: only the test slices of split {tested.hash} are left out; "
            "their neighbours take part."
        ]
    if not _subjects(tested, there):
        return [f"None of the test subjects of split {tested.hash} is among these scans."]
    return [f"The test subjects of split {tested.hash} are left out."]


def _result(job: PretrainJob, files: Sequence[Path], metrics: dict[str, float]) -> dict[str, Any]:
    lines = []
    if metrics:
        lines = [
            f"Error inside the masks {metrics['masked_error']:.4f} "
            f"(a constant reaches {metrics['constant_error']:.4f}), "
            f"over the whole image {metrics['image_error']:.4f}"
        ]
    return {
        "text": "\n".join(lines),
        "files": [str(path) for path in files],
        "model": str(files[0]),
        "metrics": metrics,
        "out": str(job.out),
    }
