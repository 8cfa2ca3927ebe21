"""Compare label maps with references: Dice and distances, per muscle and subject."""

from __future__ import annotations

from dataclasses import replace

from napari_ssl_muscle.evaluation.evaluate import CaseResult, evaluate_cases
from napari_ssl_muscle.evaluation.pairing import Pairing, match
from napari_ssl_muscle.evaluation.provenance import Provenance, combine
from napari_ssl_muscle.evaluation.report import FILES, EvaluationReport
from napari_ssl_muscle.jobs.record import origin_of_file
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import check_free, check_writable
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import Emit, Note, Progress, ShouldStop, Started
from napari_ssl_muscle.scans.muscles import read_table


def prepare(job: EvaluateJob) -> PreparedJob:
    """Match the label maps by name and check the folder; return the work.

    Raises
    ------
    BadInput
        If a path is missing, nothing matches, a table cannot be read, or one of the files exists.
    """
    matching = match(job.predictions, job.references)
    check_writable(job.out)
    check_free((job.out / name for name in FILES), overwrite=job.overwrite)
    reference_table = None if job.table is None else read_table(job.table)
    prediction_table = None if job.prediction_table is None else read_table(job.prediction_table)
    provenance, said, corrected = _origins(matching)
    notes = (*matching.notes, *said)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        pairs = matching.pairs
        emit(Started(action="evaluating", device="CPU", total=len(pairs)))

        def progress(done: int, total: int, latest: CaseResult) -> None:
            emit(Progress(done=done, total=total, text=latest.pair.name))

        found = evaluate_cases(
            pairs,
            prediction_table=prediction_table,
            reference_table=reference_table,
            all_slices=job.all_slices,
            by_side=job.by_side,
            progress=progress,
            stop=stop,
        )
        if len(found) < len(pairs):
            return Outcome({"out": str(job.out)}, stopped=True)
        cases = tuple(
            replace(case, corrected_by_hand=hand)
            for case, hand in zip(found, corrected, strict=True)
        )
        report = EvaluationReport(cases, provenance, notes)
        for note in notes:
            emit(Note(text=note, warning=True))
        files = [str(path) for path in report.write(job.out)]
        batch = report.batch_dice
        result = {
            "text": report.to_text(),
            "files": files,
            "out": str(job.out),
            "dice": {case.pair.name: case.mean_dice for case in found},
            "batch_dice": None if batch is None else batch.foreground,
        }
        return Outcome(result)

    return work


def _origins(matching: Pairing) -> tuple[Provenance, list[str], list[bool | None]]:
    """Return which model made the predictions, what to say, and which were changed since.

    That is known from the records beside them.
    """
    found = [origin_of_file(pair.prediction) for pair in matching.pairs]
    provenance, notes = combine([origin for origin, _ in found])
    return provenance, notes, [corrected for _, corrected in found]
