"""Pretrain: find the scans, leave the test subjects out, and hand all of it to learning."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.actions.training import emit_notes, run_options, training_outcome
from napari_ssl_muscle.jobs.recipe import recipe_from, start_card
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import add_recipe
from napari_ssl_muscle.jobs.settings import PretrainJob
from napari_ssl_muscle.jobs.training_data.split_choice import (
    slices_of_test_set,
    subjects_of_test_set,
)
from napari_ssl_muscle.jobs.training_data.unlabelled import unlabelled_cases
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, ShouldStop
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
    card = start_card(job)
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
        leave_out=[*(job.leave_out or ()), *subjects_of_test_set(tested, there)],
        held_out=slices_of_test_set(tested),
    )
    check_squares(recipe, found.cases)
    about = _format_test_set(job, split, tested, there) + found.notes

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.pretext.probes import STRIPS
        from napari_ssl_muscle.learning.pretrain import pretrain

        add_recipe(job, recipe)
        emit_notes(emit, about, found.warnings, notes)
        trained = pretrain(
            found.cases,
            recipe,
            run_options(job, emit, stop),
            channels=job.channels,
            transductive=job.transductive,
            about=about,
        )
        strips = job.out / STRIPS
        files = [strips] if strips.exists() else []
        return training_outcome(job, trained, _format_errors(trained.metrics), files)

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
    if recipe.pretext.corruption == "noise":
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


def _format_test_set(
    job: PretrainJob, split: Split | None, tested: Split | None, there: set[str]
) -> list[str]:
    """Say whether the test set takes part, for the user and for the card."""
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
    if not subjects_of_test_set(tested, there):
        return [f"None of the test subjects of split {tested.hash} is among these scans."]
    return [f"The test subjects of split {tested.hash} are left out."]


def _format_errors(metrics: dict[str, float]) -> str:
    if not metrics:
        return ""
    return (
        f"Error inside the masks {metrics['masked_error']:.4f} "
        f"(a constant reaches {metrics['constant_error']:.4f}), "
        f"over the whole image {metrics['image_error']:.4f}"
    )
