"""Follow muscles over months: measure every session of a cohort, compare, and write reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.follow_up import excel
from napari_ssl_muscle.evaluation.follow_up.agreement import agreements, read_reference
from napari_ssl_muscle.evaluation.follow_up.error import error_of_segmentation
from napari_ssl_muscle.evaluation.follow_up.follow import FollowUp, follow
from napari_ssl_muscle.evaluation.follow_up.norms import Norms, read_norms
from napari_ssl_muscle.evaluation.follow_up.report import FollowReport
from napari_ssl_muscle.evaluation.follow_up.visits import Person, Visit, order_visits, read_persons
from napari_ssl_muscle.evaluation.measures.fat_images import fat_images
from napari_ssl_muscle.evaluation.measures.figures import MeasureSettings
from napari_ssl_muscle.evaluation.measures.measure import LabelsToMeasure, open_labels
from napari_ssl_muscle.evaluation.measures.measured_so_far import NAME as JOURNAL
from napari_ssl_muscle.evaluation.pairing import find_label_maps
from napari_ssl_muscle.jobs.actions.measure import measure_resumably, measure_settings
from napari_ssl_muscle.jobs.cohort_jobs import FollowJob
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_results
from napari_ssl_muscle.learning.events import Emit, Progress, ShouldStop, Started
from napari_ssl_muscle.scans.cohort import Case, Cohort, open_cohort
from napari_ssl_muscle.scans.muscles import read_table, standard_name
from napari_ssl_muscle.scans.muscles.names import split_side
from napari_ssl_muscle.scans.naming import case_name, visit_name

WORKBOOK = "follow_up.xlsx"


@dataclass(frozen=True)
class CohortToFollow:
    """What is measured: visits in order, each with its case and labels."""

    cohort: Cohort
    visits: Sequence[Visit]
    cases: Sequence[Case]
    paths: Sequence[Path]
    given: Sequence[LabelsToMeasure]
    persons: dict[str, Person]
    notes: Sequence[str]


def prepare(job: FollowJob) -> PreparedJob:
    """Check the cohort, the tables and the folder; return the work.

    Raises
    ------
    BadInput
        If the cohort cannot be opened or has no label map, two scans claim one session, sessions
        have no order, a table makes no sense, or one of the results exists.
    """
    check_results(job.out, (*FollowReport.FILES, WORKBOOK), overwrite=job.overwrite)
    chosen = open_to_follow(job)
    held_out = {} if job.held_out is None else error_of_segmentation(job.held_out)
    norms = None if job.norms is None else read_norms(job.norms)
    if norms is not None:
        norms.require(_muscles(chosen.given))
    reference = None if job.truth is None else read_reference(job.truth)
    settings: MeasureSettings = measure_settings(job)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="measuring", device="CPU", total=len(chosen.given)))
        measured = measure_resumably(job, chosen.paths, chosen.given, settings, emit, stop)
        emit(Progress(done=len(chosen.given), total=len(chosen.given)))
        found = follow(chosen.visits, measured, held_out)
        notes = list(chosen.notes)
        if norms is not None:
            found = with_z(found, norms, chosen.persons)
            if all(row.z is None for row in found.rows):
                notes.append(
                    "No z scores: subjects.tsv gives no subject's sex and age in bands of the "
                    "normative table."
                )
        compared = [] if reference is None else agreements(found, reference)
        if not excel.can_write():
            notes.append(excel.MISSING)
        report = FollowReport(found, compared, notes)
        files = report.write(job.out)
        (job.out / JOURNAL).unlink(missing_ok=True)
        if excel.can_write():
            excel.write_workbook(job.out / WORKBOOK, report.sheets, report.sentences())
            files.append(job.out / WORKBOOK)
        return saved_results(job.out, files, report.to_text())

    return work


def open_to_follow(job: FollowJob) -> CohortToFollow:
    """Find what is measured: every case with labels, in the order of the visits.

    Raises
    ------
    BadInput
        As `prepare`.
    """
    cohort = open_cohort(job.cohort)
    labels = _label_maps(cohort, job.labels)
    cases = [case for case in cohort.cases if case.name in labels]
    if not cases:
        where = job.labels or job.cohort
        raise BadInput(
            f"{where} holds no label map of a scan in {job.cohort}; segment the scans first, or "
            "give the folder of label maps with --labels."
        )
    table = None if job.table is None else read_table(job.table)
    notes = []
    left_out = [case.name for case in cohort.cases if case.name not in labels]
    if left_out:
        notes.append(f"Without labels, so not measured: {', '.join(left_out)}.")
    visits = order_visits(cases, cohort.folder)
    by_name = {case.name: case for case in cases}
    ordered = [by_name[visit.case] for visit in visits]
    paths = [labels[case.name] for case in ordered]
    given = [
        replace(
            open_labels(path, table or cohort.table),
            case=case.name,
            title=case.name,
            fat=fat_images(case.images, job.water, job.fat),
            whose=(case.subject, case.session),
        )
        for case, path in zip(ordered, paths, strict=True)
    ]
    return CohortToFollow(
        cohort, visits, ordered, paths, given, read_persons(cases, cohort.folder), tuple(notes)
    )


def with_z(found: FollowUp, norms: Norms, persons: dict[str, Person]) -> FollowUp:
    """Add the z score of every volume of a whole muscle."""
    rows = [
        replace(
            row,
            z=norms.z(
                row.measure.muscle,
                persons.get(row.visit.subject, Person()),
                row.measure.volume_ml,
            )
            if row.measure.coverage == "whole"
            else None,
        )
        for row in found.rows
    ]
    return replace(found, rows=rows)


def _label_maps(cohort: Cohort, folder: Path | None) -> dict[str, Path]:
    """Return case → its label map: in the cohort, or by name in a folder."""
    if folder is None:
        return {case.name: case.labels for case in cohort.cases if case.labels is not None}
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; give the folder of the label maps.")
    names = {case.name for case in cohort.cases}
    found: dict[str, Path] = {}
    for path in find_label_maps(folder):
        name = next((n for n in (case_name(path), visit_name(path)) if n in names), None)
        if name is None:
            continue
        if name in found:
            raise BadInput(
                f"{found[name]} and {path} are both labels of {name}; give a folder with one "
                "label map for each scan."
            )
        found[name] = path
    return found


def _muscles(given: Sequence[LabelsToMeasure]) -> list[str]:
    """Return the standard names of all muscles of the tables, without sides."""
    names = [m.name for one in given if one.table is not None for m in one.table.muscles]
    return list(dict.fromkeys(split_side(standard_name(name))[0] for name in names))
