"""Measure label maps: mL, mm² per slice and fat, per muscle and side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.measures.fat_images import FatImages, fat_images
from napari_ssl_muscle.evaluation.measures.figures import USUAL, Measurement, MeasureSettings
from napari_ssl_muscle.evaluation.measures.measure import (
    LabelsToMeasure,
    measure_labels,
    open_labels,
)
from napari_ssl_muscle.evaluation.measures.measured_so_far import NAME as JOURNAL
from napari_ssl_muscle.evaluation.measures.measured_so_far import MeasuredSoFar
from napari_ssl_muscle.evaluation.measures.report import MeasureReport
from napari_ssl_muscle.evaluation.pairing import find_label_maps
from napari_ssl_muscle.files import file_hash
from napari_ssl_muscle.jobs.cohort_jobs import FollowJob, MeasureJob
from napari_ssl_muscle.jobs.record import unlike_training, whose_labels
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_results
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started, report_steps
from napari_ssl_muscle.scans.cohort import open_cohort
from napari_ssl_muscle.scans.distinct_names import distinct_case_names
from napari_ssl_muscle.scans.muscles import read_table
from napari_ssl_muscle.scans.naming import case_name, visit_name
from napari_ssl_muscle.scans.voxel_size import parse_voxel_size


def prepare(job: MeasureJob) -> PreparedJob:
    """Check the label maps and the folder; return the work.

    Raises
    ------
    BadInput
        If a label map cannot be opened, a folder holds none, one of the tables exists, or the
        images that are named cannot be used.
    """
    check_results(job.out, MeasureReport.FILES, overwrite=job.overwrite)
    table = None if job.table is None else read_table(job.table)
    paths = list(dict.fromkeys(path for given in job.labels for path in _label_maps(given)))
    size = None if job.spacing is None else parse_voxel_size(job.spacing)
    opened = [replace(open_labels(path, table, size), whose=whose_labels(path)) for path in paths]
    # The same file name in several patients' folders must not make them one case.
    given = [
        replace(one, case=name, title=name, unlike_training=unlike_training(path))
        for path, one, name in zip(paths, opened, distinct_case_names(paths), strict=True)
    ]
    if job.images is not None:
        found = find_fat_images(paths, job.images, job.water, job.fat)
        given = [replace(one, fat=fat) for one, fat in zip(given, found, strict=True)]
    elif job.water or job.fat:
        raise BadInput("Channels are those of a cohort; give its folder with --images.")
    settings = measure_settings(job)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="measuring", device="CPU", total=len(given)))
        report = MeasureReport(measure_resumably(job, paths, given, settings, emit, stop))
        emit(Progress(done=len(given), total=len(given)))
        written = report.write(job.out)
        (job.out / JOURNAL).unlink(missing_ok=True)
        return saved_results(job.out, written, report.to_text(), outliers=len(report.outliers))

    return work


def measure_resumably(
    job: MeasureJob | FollowJob,
    paths: Sequence[Path],
    given: Sequence[LabelsToMeasure],
    settings: MeasureSettings,
    emit: Emit,
    stop: ShouldStop,
) -> list[Measurement]:
    """Measure label maps one by one; of several, what is done is kept for after a stop."""
    if len(given) == 1:
        return measure_labels(given, report_steps(emit, stop), settings)
    before = report_steps(emit, stop)
    so_far = MeasuredSoFar(job.out, go_on=job.resume)
    found = []
    for number, (path, one) in enumerate(zip(paths, given, strict=True)):
        before(number, len(given), one.title)
        key = {
            "labels": file_hash(path),
            "case": one.case,
            "whose": one.whose,
            "spacing": one.geometry.spacing,
            "unlike_training": one.unlike_training,
            "table": None if one.table is None else one.table.to_rows(),
            "settings": asdict(settings),
            "fat": None if one.fat is None else _state_of(one.fat),
        }
        measured = so_far.get(key)
        if measured is None:
            (measured,) = measure_labels([one], settings=settings)
            so_far.add(key, measured)
        found.append(measured)
    return found


def _state_of(fat: FatImages) -> dict[str, list[str | int]]:
    """Return what says whether images have changed since."""
    return {
        role: [str(path), path.stat().st_size, path.stat().st_mtime_ns]
        for role, path in fat.files.items()
    }


def find_fat_images(
    labels: Sequence[Path], folder: Path, water: str | None, fat: str | None
) -> list[FatImages | None]:
    """Find, for each label map, the images in a cohort's folder that tell where fat is.

    Parameters
    ----------
    labels
        Label maps, each of the name of its case.
    folder
        Of the cohort.
    water, fat
        Channels, where their names do not say so.

    Returns
    -------
    None for a label map whose scan has no such images.

    Raises
    ------
    BadInput
        If it is no cohort, there is no such channel, or no label map has images at all.
    """
    cohort = open_cohort(folder)
    found = []
    for path in labels:
        names = (case_name(path), visit_name(path))
        case = next((case for name in names for case in cohort.cases if case.name == name), None)
        found.append(None if case is None else fat_images(case.images, water, fat))
    if not any(found):
        raise BadInput(
            f"No scan in {folder} has the name of a label map and images that tell where fat is "
            f"(its channels: {', '.join(cohort.channels)}); name them with --water and --fat."
        )
    return found


def measure_settings(job: MeasureJob | FollowJob) -> MeasureSettings:
    """Return what a job chooses about the figures."""
    return replace(
        USUAL, erosion_mm=job.erosion, **({} if job.level is None else {"levels": tuple(job.level)})
    )


def _label_maps(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = find_label_maps(given)
    if not found:
        raise BadInput(f"There is no label map (.nii.gz, .nrrd, …) in {given}.")
    return found
