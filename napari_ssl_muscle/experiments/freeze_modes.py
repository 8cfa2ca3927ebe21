"""Compare freeze modes: the same fine-tuning four times, each with other parts kept fixed.

Every mode gets the same labels, split, seed and number of steps. Labels of a study are read once,
because a person goes on accepting slices while the four train one after the other.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.arm_events import JoinedEvents
from napari_ssl_muscle.experiments.freeze_results import (
    FIGURES,
    FreezeComparison,
    ModeResult,
    in_text,
    progress_of,
    read_comparison,
    result_of,
    write_results,
)
from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.jobs.actions.finetune import TrainingData, training, training_data_of
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.run import JobFailed, Outcome, PreparedJob, run_prepared
from napari_ssl_muscle.jobs.run_folder import (
    CHECKPOINT,
    EVENTS,
    JOB,
    MODEL,
    check_writable,
)
from napari_ssl_muscle.jobs.settings import CompareFreezingJob, FinetuneJob, LabelledJob
from napari_ssl_muscle.jobs.text import FROZEN
from napari_ssl_muscle.jobs.training_data.accepted import AcceptedLabels
from napari_ssl_muscle.learning.data.case import FEWEST, TrainingCase
from napari_ssl_muscle.learning.events import (
    Checkpoint,
    Emit,
    Event,
    Finished,
    Note,
    ShouldStop,
    Stopped,
    StoppedByUser,
    from_line,
)
from napari_ssl_muscle.learning.models.card import find_model, origin, read_card
from napari_ssl_muscle.scans.volume import LabelMap

MODES = tuple(FROZEN)
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
    data = _read_held_labels(training_data_of(job))
    _check_validation(job, data)
    labels = _hash_of(data)
    before = read_comparison(job.out) if job.resume else None
    if before is not None and before.labels != labels:
        raise BadInput(
            f"The labels are not those that the comparison in {job.out} began with, so its modes "
            "would not compare; start a new one in another --out."
        )
    for mode in MODES:
        if not job.resume and (job.out / mode).exists():
            raise BadInput(f"{job.out / mode} exists already; choose another --out.")
    found = FreezeComparison(start=origin(str(find_model(job.init))), labels=labels)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        return _FreezeTrainings(job, data, found, emit, stop).run()

    return work


class _FreezeTrainings:
    def __init__(
        self,
        job: CompareFreezingJob,
        data: TrainingData,
        found: FreezeComparison,
        emit: Emit,
        stop: ShouldStop,
    ) -> None:
        self.job, self.data, self.found, self.emit, self.stop = job, data, found, emit, stop
        self.stream = JoinedEvents(emit, MODES)
        self.steps: int | None = None

    def run(self) -> Outcome:
        job = self.job
        if job.cohort is None and self.data.split is None:
            self.emit(Note(text=STUDY_NOTE))
        stopped = False
        for mode in MODES:
            run = job.out / mode
            if not is_finished(run):
                stopped = not self._train(mode)
                if stopped:
                    break
            self.steps = int(progress_of(run)["total"])
            self._add(result_of(run, mode, self._learning(run)))
        if stopped and not any((job.out / mode / CHECKPOINT).is_file() for mode in MODES):
            raise StoppedByUser
        return self._outcome(stopped)

    def _train(self, mode: str) -> bool:
        """Train a mode; return whether it came to its end."""
        if self.stop():
            return False
        job, run = self.job, self.job.out / mode
        goes_on = (run / CHECKPOINT).is_file()
        if not goes_on and (run / JOB).is_file():
            shutil.rmtree(run)  # it was ended from outside before there was anything to continue
        self.stream.begin(mode, self.steps)
        try:
            run_prepared(
                one_of(job, mode, block=self.data.split is None, steps=self.steps).model_copy(
                    update={"resume": goes_on}
                ),
                lambda one: training(one, self.data, name=f"{job.out.name}-{mode}"),
                self._hear,
                self.stop,
            )
        except JobFailed as error:  # its cause is said by whoever runs all four
            raise error.__cause__ or error from None
        return not isinstance(self.stream.end, Stopped)

    def _hear(self, event: Event) -> None:
        path = self.job.out / FIGURES
        if isinstance(event, Checkpoint) and not path.exists():
            # From now on it can be continued, with these labels only.
            write_json(path, self.found.model_dump(mode="json"))
        self.stream.hear(event)

    def _learning(self, run: Path) -> dict[str, int]:
        # Here, because it imports torch: a request that is refused does not wait for it.
        from napari_ssl_muscle.learning.network.transfer import learning_by_mode

        card = read_card(run / MODEL)
        counts = learning_by_mode(card.network, card.in_channels, card.outputs)
        return {str(mode): count for mode, count in counts.items()}

    def _add(self, result: ModeResult) -> None:
        note = read_card(self.job.out / result.model).dice_note
        self.found = self.found.model_copy(
            update={"modes": [*self.found.modes, result], "validated_on": note}
        )
        write_results(self.job.out, self.found)

    def _outcome(self, stopped: bool) -> Outcome:
        out, results = self.job.out, self.found.modes
        return Outcome(
            {
                "text": in_text(results) if results else "",
                "files": [str(path) for path in sorted(out.glob("freezing.*"))] if results else [],
                "modes": [result.mode for result in results],
                "metrics": {
                    result.mode: result.dice["mean"] for result in results if "mean" in result.dice
                },
                "out": str(out),
            },
            stopped,
        )


def one_of(
    job: CompareFreezingJob, mode: str, *, block: bool = False, steps: int | None = None
) -> FinetuneJob:
    """Return the fine-tuning of one mode, as its run's folder keeps it.

    Parameters
    ----------
    job
        The comparison.
    mode
        What is kept fixed.
    block
        Set a block of slices apart, where nobody decided otherwise.
    steps
        As many as the other modes do; None leaves the length to the job.
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


def is_finished(run: Path) -> bool:
    """Return whether a run came to its end, by the last line of its log."""
    if not (run / MODEL).is_file() or not (run / EVENTS).is_file():
        return False
    lines = (run / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        return bool(lines) and isinstance(from_line(lines[-1]), Finished)
    except ValueError:
        return False


@dataclass(frozen=True, eq=False)
class _LabelsInMemory(LabelMap):
    """The labels of a study's case as they were when the comparison began."""

    values: npt.NDArray[np.uint16]

    def read(self) -> npt.NDArray[np.int32]:
        """Return the label values, whatever the file holds by now."""
        return self.values.astype(np.int32)


def _read_held_labels(data: TrainingData) -> TrainingData:
    def held(case: TrainingCase) -> TrainingCase:
        labels = case.labels
        if not isinstance(labels, AcceptedLabels):
            return case
        values = labels.read().astype(np.uint16)
        return replace(case, labels=_LabelsInMemory(labels.path, labels.geometry, values))

    cases = [held(case) for case in data.gathered.cases]
    return replace(data, gathered=replace(data.gathered, cases=cases))


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
    subjects = {case.name: case.subject for case in data.gathered.cases}
    there = (
        {subjects[name] for name, found in slices.items() if found}
        if split.unit == "subject"
        else {f"{name}:{z}" for name, found in slices.items() for z in found}
    )
    if not there & set(split.validation):
        raise BadInput(
            f"The split {split.hash} sets no labelled {split.unit} apart for validation, so there "
            "is nothing to compare on; choose another split (--split block)."
        )


def _hash_of(data: TrainingData) -> str:
    """Return twelve digits that change with labels, with what may train, and with the split."""
    digest = hashlib.sha256(repr(data.split and data.split.hash).encode())
    for case in data.gathered.cases:
        labels = case.labels
        assert labels is not None
        which = case.name, sorted(case.held_out), sorted(case.accepted_empty)
        digest.update(repr(which).encode())
        if isinstance(labels, _LabelsInMemory):
            digest.update(np.ascontiguousarray(labels.values).tobytes())
        else:
            digest.update(labels.path.read_bytes())
    return digest.hexdigest()[:12]
