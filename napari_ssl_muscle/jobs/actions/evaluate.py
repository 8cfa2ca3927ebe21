"""Compare label maps with references: Dice and distances, per muscle and subject."""

from __future__ import annotations

from napari_ssl_muscle.evaluation.evaluate import LabelsToCompare, evaluate_pairs, open_pair
from napari_ssl_muscle.evaluation.pairing import Pair, match
from napari_ssl_muscle.evaluation.report import EvaluationReport
from napari_ssl_muscle.jobs.record import origin_of_file
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_results
from napari_ssl_muscle.jobs.settings import EvaluateJob
from napari_ssl_muscle.learning.events import (
    Emit,
    Progress,
    ShouldStop,
    Started,
    emit_warnings,
    report_steps,
)
from napari_ssl_muscle.scans.muscles import read_table
from napari_ssl_muscle.scans.voxel_size import parse_voxel_size


def prepare(job: EvaluateJob) -> PreparedJob:
    """Match the label maps by name and check the folder; return the work.

    Raises
    ------
    BadInput
        If a path is missing, nothing matches, two label maps lie on different grids, a table
        cannot be read, or one of the files exists.
    """
    matching = match(job.predictions, job.references)
    check_results(job.out, EvaluationReport.FILES, overwrite=job.overwrite)
    reference_table = None if job.table is None else read_table(job.table)
    prediction_table = None if job.prediction_table is None else read_table(job.prediction_table)
    size = None if job.spacing is None else parse_voxel_size(job.spacing)

    def opened(pair: Pair) -> LabelsToCompare:
        # Which model made the prediction, and if it was changed since: from the record beside it.
        origin, corrected = origin_of_file(pair.prediction)
        return open_pair(
            pair,
            prediction_table=prediction_table,
            reference_table=reference_table,
            origin=origin,
            size=size,
            corrected=corrected,
        )

    pairs = [opened(pair) for pair in matching.pairs]

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="evaluating", device="CPU", total=len(pairs)))
        report = evaluate_pairs(
            pairs,
            matching.notes,
            all_slices=job.all_slices,
            by_side=job.by_side,
            progress=report_steps(emit, stop),
        )
        emit(Progress(done=len(pairs), total=len(pairs)))
        emit_warnings(emit, report.notes)
        batch = report.batch_dice
        return saved_results(
            job.out,
            report.write(job.out),
            report.to_text(),
            dice={case.pair.name: case.mean_dice for case in report.cases},
            batch_dice=None if batch is None else batch.foreground,
        )

    return work
