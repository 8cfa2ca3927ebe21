"""Compare two models on exactly the slices that a study holds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.model_comparison import (
    FEWEST_SLICES,
    HeldOutScan,
    Predicted,
    compare_models,
    not_enough,
)
from napari_ssl_muscle.evaluation.provenance import known_subjects
from napari_ssl_muscle.files import csv_text, file_hash, json_text, write_together
from napari_ssl_muscle.jobs.job_file import read_job
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import JOB, check_results
from napari_ssl_muscle.jobs.settings import CompareJob, FinetuneJob
from napari_ssl_muscle.jobs.training_data.accepted import study_case
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop, emit_warnings
from napari_ssl_muscle.learning.models.card import ModelCard, check_segments, find_model, read_card
from napari_ssl_muscle.learning.segment import Segmenter, case_to_segment
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.slice_states import EVERY
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.training_cases import StudyCase, training_cases

FILES = ("comparison.csv", "comparison.json")


def prepare(job: CompareJob) -> PreparedJob:
    """Check models, study and folder; return the work.

    Raises
    ------
    BadInput
        If a model cannot segment the study's scans, a scan has gone or changed, or one of the
        files exists.
    """
    paths = [find_model(name) for name in (job.old, job.new)]
    cards = [read_card(path) for path in paths]
    for path, card in zip(paths, cards, strict=True):
        check_segments(card, path)
        if card.in_channels != 1:
            raise BadInput(
                f"The model {path} needs {card.in_channels} image channels and the study has one; "
                "choose another model."
            )
    study = Study.read(job.study)
    cases = [
        replace(case, held_out=slices)
        for case in training_cases(study)
        if (slices := comparable_slices(case))
    ]
    check_results(job.out, FILES, overwrite=job.overwrite)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        if not cases:
            text = f"There are {not_enough(0)} Every {EVERY}th slice that is accepted is held out."
            emit(Note(text=text))
            result = {"text": text, "enough": False, "better": None, "out": str(job.out)}
            return Outcome({**result, "count": 0, "needed": FEWEST_SLICES})
        emit_warnings(emit, _trained_elsewhere(cards, paths, cases, study))
        scans = _predict(job, study, cases, paths, emit, stop)
        found = compare_models(scans)
        assert found is not None  # every case has a held-out slice
        old, new = found.means
        content = {
            "format": 1,
            "models": [
                {"name": card.name, "path": str(path.absolute()), "hash": file_hash(path)}
                for card, path in zip(cards, paths, strict=True)
            ],
            "slices": found.slices,
            "enough": found.enough,
            "mean_dice": {"old": old, "new": new},
            "muscles": {name: {"old": a, "new": b} for name, (a, b) in found.muscles.items()},
            "better": found.better,
            "notes": list(found.notes),
        }
        rows = [{"muscle": name, "old": a, "new": b} for name, (a, b) in found.muscles.items()]
        texts = (csv_text(("muscle", "old", "new"), rows), json_text(content))
        written = write_together(job.out, dict(zip(FILES, texts, strict=True)))
        return saved_results(
            job.out,
            written,
            found.to_text(*_headings(cards)),
            count=found.count,
            needed=FEWEST_SLICES,
            slices={name: list(there) for name, there in found.slices.items()},
            **{
                name: content[name]
                for name in ("enough", "better", "notes", "mean_dice", "muscles")
            },
        )

    return work


def comparable_slices(case: StudyCase) -> frozenset[int]:
    """Return the held-out slices that are accepted now and whose labels are saved.

    Raises
    ------
    BadInput
        If the label map cannot be read.
    """
    accepted = case.held_out & case.accepted
    if not accepted:
        return accepted
    labels = open_label_map(case.labels).read()
    return frozenset(z for z in accepted if z in case.accepted_empty or labels[z].any())


def _predict(
    job: CompareJob,
    study: Study,
    cases: Sequence[StudyCase],
    paths: Sequence[Path],
    emit: Emit,
    stop: ShouldStop,
) -> list[HeldOutScan]:
    segmenters = [Segmenter(job.device, job.threads) for _ in paths]
    for segmenter, path in zip(segmenters, paths, strict=True):
        segmenter.load(path)
    progress = segmenters[0].begin("comparing", len(cases) * len(paths), emit)
    scans = []
    for case in cases:
        # With the labels of held-out slices: this is what they are there for.
        labelled = study_case(case, study.table, held_out=True)
        assert labelled.labels is not None
        given = case_to_segment(labelled, steps=1)
        predicted = []
        for segmenter, path in zip(segmenters, paths, strict=True):
            found = segmenter.segment(path, given, progress, stop)
            predicted.append(Predicted(found.labels, found.table))
            progress.end()
        scans.append(
            HeldOutScan(
                case.name,
                case.subject,
                labelled.labels.read(),
                study.table,
                case.held_out,
                given.geometry.spacing,
                *predicted,
            )
        )
    return scans


def _headings(cards: Sequence[ModelCard]) -> list[str]:
    """Return the models' names, told apart where they are the same."""
    old, new = (card.name for card in cards)
    return [old, new] if old != new else [f"{old} (old)", f"{new} (new)"]


def _trained_elsewhere(
    cards: Sequence[ModelCard], paths: Sequence[Path], cases: Sequence[StudyCase], study: Study
) -> list[str]:
    """Say which models may have seen the held-out slices, because others trained them."""
    subjects = [case.subject for case in cases]
    return [
        f"The model {card.name} was trained outside this study on a subject of it; "
        "it may know the held-out slices."
        for card, path in zip(cards, paths, strict=True)
        if known_subjects(subjects, card.training_subjects) and not _trained_in(path, study)
    ]


def _trained_in(path: Path, study: Study) -> bool:
    """Whether a model is that of a run which took its labels from the study."""
    try:
        job = read_job(path.parent / JOB)
    except BadInput:
        return False
    if not isinstance(job, FinetuneJob) or job.study is None:
        return False
    return job.study.resolve() == study.folder.resolve()
