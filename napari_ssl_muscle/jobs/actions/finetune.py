"""Fine-tune: check cohort and study, choose muscles and split, and hand all of it to learning."""

from __future__ import annotations

from napari_ssl_muscle.jobs.actions.training import emit_notes, run_options, training_outcome
from napari_ssl_muscle.jobs.recipe import lower_known_rate, recipe_from
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import SPLIT, add_recipe
from napari_ssl_muscle.jobs.settings import FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.training_data.collect import TrainingData, collect
from napari_ssl_muscle.learning.events import Emit, ShouldStop
from napari_ssl_muscle.scans.split import write_split
from napari_ssl_muscle.study.study import Study


def prepare(job: FinetuneJob) -> PreparedJob:
    """Check cohort, study, labels, muscles, channels, model and split; return the work.

    Raises
    ------
    BadInput
        If any of them cannot be used.
    """
    return training(job, collect(job))


def training(job: FinetuneJob, data: TrainingData, *, name: str | None = None) -> PreparedJob:
    """Return the work of a job whose training data is collected already.

    Parameters
    ----------
    job
        What is trained, and where.
    data
        Of this job, or of one with the same labelled scans.
    name
        The new model's name; None takes the folder's.

    Raises
    ------
    BadInput
        If the model to start from is of another network than the job asks for.
    """
    split = data.split
    recipe, network_notes = recipe_from(job, data.card)
    recipe, rate_notes = lower_known_rate(recipe, job, data.card, data.muscles)
    warnings = [*data.warnings, *_corrected_but_set_apart(data)]
    study_alone = job.cohort is None and job.split == "auto" and split is None

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.finetune import finetune

        add_recipe(job, recipe)
        emit_notes(emit, data.notes, warnings, [*network_notes, *rate_notes])
        if split is not None:
            write_split(job.out / SPLIT, split)
            if job.study is not None and job.split_file is None and split.unit == "subject":
                write_split(Study.read(job.study).split_path, split)
        trained = finetune(
            data.cases,
            data.muscles,
            recipe,
            run_options(job, emit, stop, name),
            freeze_mode=job.freeze,
            split=split,
            validation="none" if job.split == "none" or study_alone else "auto",
            channels=data.channels,
            described=_described(job),
        )
        lines = [f"Dice {value:.3f}  {name}" for name, value in trained.metrics.items()]
        return training_outcome(job, trained, "\n".join(lines))

    return work


def _described(job: LabelledJob) -> tuple[str, str]:
    """Return what the card calls the scans of a job, and their labels."""
    if job.study is None:
        return "the user's cohort", "the cohort's label maps"
    if job.cohort is None:
        return "a study of the user", "slices that a person accepted"
    return "the user's cohort and study", "label maps, and slices that a person accepted"


def _corrected_but_set_apart(data: TrainingData) -> list[str]:
    """Say which accepted slices do not train, because the split sets their subject apart."""
    if data.split is None or data.split.unit != "subject":
        return []
    return [
        f"{subject} is set apart by the split, so its accepted slices do not train."
        for subject in sorted(data.corrected & {*data.split.validation, *data.split.test})
    ]
