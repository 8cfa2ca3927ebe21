"""Compare freeze modes: the same fine-tuning four times, each with other parts kept fixed.

Every mode gets the same labels, split, seed and number of steps. Labels of a study are read once,
because a person goes on accepting slices while the four train one after the other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arms import JoinedEvents, train_arm
from napari_ssl_muscle.experiments.freeze_results import (
    FIGURES,
    FreezeComparison,
    format_results,
    read_comparison,
    read_progress,
    result_of,
    write_results,
)
from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.jobs.actions.finetune import training
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.run import JobFailed, Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, JOB, MODEL, check_writable, has_learned
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.text import FREEZE_TITLES
from napari_ssl_muscle.jobs.training_data.accepted import AcceptedLabels
from napari_ssl_muscle.jobs.training_data.collect import TrainingData, collect
from napari_ssl_muscle.jobs.training_data.split_choice import slice_names
from napari_ssl_muscle.learning.data.case import FEWEST, TrainingCase
from napari_ssl_muscle.learning.events import (
    Checkpoint,
    Emit,
    Event,
    Note,
    ShouldStop,
    StoppedByUser,
)
from napari_ssl_muscle.learning.models.card import find_model, origin, read_card
from napari_ssl_muscle.scans.volume import LabelMap

MODES = tuple(FREEZE_TITLES)
"""The freeze modes, in the order in which they train."""

ROUNDS = 15
"""Validations that make a curve of a training whose steps are known."""

OFTEN = 20
"""Steps between validations where the number of steps is not known beforehand."""

STUDY_NOTE = (
    "Validated on a block of the accepted slices that none of the four trains on; slices that the "
    "study holds out take no part at all."
)


def prepare(job: CompareFreezingJob) -> PreparedJob:
    """Check everything that a fine-tuning needs, and that something is set apart to compare on.

    Raises
    ------
    BadInput
        If something cannot be used, no slice would be left to compare on, or the labels are not
        those that a comparison to be continued began with.
    """
    assert job.init is not None
    check_writable(job.out)
    data = _with_labels_in_memory(collect(job))
    _check_validation(job, data)
    labels = _hash_of(data)
    before = read_comparison(job.out) if job.resume else None
    if before is not None and before.labels != labels:
        raise BadInput(
            f"The labels are not those that the comparison in {job.out} began with, so its modes "
            "would not compare; start a new one in another folder."
        )
    for mode in MODES:
        run = job.out / mode
        begins_again = (run / JOB).is_file() and not has_learned(run)
        if not job.resume and run.exists() and not begins_again:
            raise BadInput(f"{job.out / mode} exists already; choose another folder.")
    found = FreezeComparison(start=origin(str(find_model(job.init))), labels=labels)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        return _train_modes(job, data, found, emit, stop)

    return work


def _train_modes(
    job: CompareFreezingJob,
    data: TrainingData,
    found: FreezeComparison,
    emit: Emit,
    stop: ShouldStop,
) -> Outcome:
    """Train what is not trained yet, and write table, figures and plot after each mode."""
    if job.cohort is None and data.split is None:
        emit(Note(text=STUDY_NOTE))
    stream = JoinedEvents(emit, FREEZE_TITLES, "comparing freeze modes")
    figures = job.out / FIGURES

    def on_event(event: Event) -> None:
        if isinstance(event, Checkpoint) and not figures.exists():
            # From now on it can be continued, with these labels only.
            write_json(figures, found.model_dump(mode="json"))
        stream.emit(event)

    def prepare_arm(arm: FinetuneJob) -> PreparedJob:
        return training(arm, data, name=f"{job.out.name}-{arm.freeze}")

    steps, stopped = None, False
    for mode in MODES:
        stream.begin(mode, steps)
        arm = arm_of(job, mode, block=data.split is None, steps=steps)
        try:
            stopped = not train_arm(arm, on_event, stop, prepare_arm)
        except JobFailed as error:  # its cause is reported by whoever runs the comparison
            raise error.__cause__ or error from None
        if stopped:
            break
        steps = int(read_progress(arm.out)["total"])
        found = found.model_copy(
            update={
                "modes": [*found.modes, result_of(arm.out, mode)],
                "validated_on": read_card(arm.out / MODEL).dice_note,
            }
        )
        write_results(job.out, found)
    if stopped and not any((job.out / mode / CHECKPOINT).is_file() for mode in MODES):
        raise StoppedByUser
    results = found.modes
    return Outcome(
        {
            "text": format_results(results) if results else "",
            "files": [str(path) for path in sorted(job.out.glob("freezing.*"))] if results else [],
            "modes": [result.mode for result in results],
            "metrics": {
                result.mode: result.dice["mean"] for result in results if "mean" in result.dice
            },
            "out": str(job.out),
        },
        stopped,
    )


def arm_of(
    job: CompareFreezingJob, mode: str, *, block: bool = False, steps: int | None = None
) -> FinetuneJob:
    """Return the fine-tuning of one mode, as its run folder keeps it.

    `block` sets a block of slices apart, because there is no split; `steps` are those of the
    other modes, None where the job itself gives the length.
    """
    values = {name: getattr(job, name) for name in LabelledJob.model_fields}
    values |= {"out": job.out / mode, "freeze": mode, "resume": False}
    values["validate_every"] = _validate_every(job)
    if block:
        values["split"] = "block"
    if steps is not None:
        values |= {"steps": steps, "minutes": None, "epochs": None}
    return FinetuneJob.model_validate(values)


def _validate_every(job: CompareFreezingJob) -> int:
    """Return how often to validate: a short training, too, shall give a curve."""
    asked: int | None = job.validate_every
    if asked is not None:
        return asked
    usual = recipe_of(job).training
    often = OFTEN if usual.steps is None else max(1, usual.steps // ROUNDS)
    return min(usual.validate_every, often)


@dataclass(frozen=True, eq=False)
class _LabelsInMemory(LabelMap):
    """The labels of a study's case as they were when the comparison began."""

    values: npt.NDArray[np.uint16]

    def read(self) -> npt.NDArray[np.int32]:
        """Return the label values, whatever the file holds by now."""
        return self.values.astype(np.int32)


def _with_labels_in_memory(data: TrainingData) -> TrainingData:
    def in_memory(case: TrainingCase) -> TrainingCase:
        labels = case.labels
        if not isinstance(labels, AcceptedLabels):
            return case
        values = labels.read().astype(np.uint16)
        return replace(case, labels=_LabelsInMemory(labels.path, labels.geometry, values))

    return replace(data, cases=[in_memory(case) for case in data.cases])


def _check_validation(job: CompareFreezingJob, data: TrainingData) -> None:
    """Refuse to train four models that nothing could compare."""
    split, slices = data.split, data.slices
    if split is None:
        most = max(len(there) for there in slices.values())
        if most < FEWEST:
            where = "accepted slices that train" if job.cohort is None else "labelled slices"
            raise BadInput(
                "Comparing needs slices that none of the four trains on, and they are set apart "
                f"from {FEWEST} labelled slices of one scan on; here the most are {most} {where}. "
                "Label more slices, or choose scans of three subjects or more."
            )
        return
    subjects = {case.name: case.subject for case in data.cases}
    there = (
        {subjects[name] for name, found in slices.items() if found}
        if split.unit == "subject"
        else set(slice_names(slices))
    )
    if not there & set(split.validation):
        raise BadInput(
            f"The split {split.hash} sets no labelled {split.unit} apart for validation, so there "
            "is nothing to compare on; choose another split (--split block)."
        )


def _hash_of(data: TrainingData) -> str:
    """Return twelve digits that change with labels, with what may train, and with the split."""
    digest = hashlib.sha256(repr(data.split and data.split.hash).encode())
    for case in data.cases:
        labels = case.labels
        assert labels is not None
        which = case.name, sorted(case.held_out), sorted(case.accepted_empty)
        digest.update(repr(which).encode())
        if isinstance(labels, _LabelsInMemory):
            digest.update(np.ascontiguousarray(labels.values).tobytes())
        else:
            digest.update(labels.path.read_bytes())
    return digest.hexdigest()[:12]
