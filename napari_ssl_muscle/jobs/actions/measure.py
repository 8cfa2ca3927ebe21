"""Measure label maps: mL and mm² per slice, per muscle and side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.measure import measure_labels, open_labels
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.evaluation.pairing import find_label_maps
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_results
from napari_ssl_muscle.jobs.settings import MeasureJob
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started, report_steps
from napari_ssl_muscle.scans.distinct_names import distinct_case_names
from napari_ssl_muscle.scans.muscles import read_table


def prepare(job: MeasureJob) -> PreparedJob:
    """Check the label maps and the folder; return the work.

    Raises
    ------
    BadInput
        If a label map cannot be opened, a folder holds none, or one of the tables exists.
    """
    check_results(job.out, MeasureReport.FILES, overwrite=job.overwrite)
    table = None if job.table is None else read_table(job.table)
    paths = list(dict.fromkeys(path for given in job.labels for path in _label_maps(given)))
    opened = [open_labels(path, table) for path in paths]
    # The same file name in several patients' folders must not make them one case.
    given = [
        replace(one, case=name, title=name)
        for one, name in zip(opened, distinct_case_names(paths), strict=True)
    ]

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="measuring", device="CPU", total=len(given)))
        report = MeasureReport(measure_labels(given, report_steps(emit, stop)))
        emit(Progress(done=len(given), total=len(given)))
        return saved_results(job.out, report.write(job.out), report.to_text())

    return work


def _label_maps(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = find_label_maps(given)
    if not found:
        raise BadInput(f"There is no label map (.nii, .nii.gz) in {given}.")
    return found
