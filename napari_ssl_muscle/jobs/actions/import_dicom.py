"""Import DICOM: a pseudonymous cohort from what a scanner exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.cohort_jobs import ImportJob
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import check_writable
from napari_ssl_muscle.learning.events import (
    Emit,
    Note,
    Progress,
    ShouldStop,
    Started,
    StoppedByUser,
    report_steps,
)
from napari_ssl_muscle.scans.dicom_scans import choose
from napari_ssl_muscle.scans.formats.dicom.bids import (
    Target,
    describe_cohort,
    plan_cohort,
    write_target,
)
from napari_ssl_muscle.scans.formats.dicom.library import pydicom
from napari_ssl_muscle.scans.formats.dicom.listing import find_series
from napari_ssl_muscle.scans.formats.dicom.voxels import read_series
from napari_ssl_muscle.text_table import counted

_REPORT_EVERY = 100
"""Files between two reports of progress: thousands of them are read in a minute."""


def prepare(job: ImportJob) -> PreparedJob:
    """Check the places; return the work.

    The folder is searched by the work, since a whole export takes a while.

    Raises
    ------
    BadInput
        If there is nothing to import from, or the cohort's folder cannot be written to. The
        work raises it if no series is found, or none can be used.
    """
    check_writable(job.out)
    if not job.dicom.exists():
        raise BadInput(f"{job.dicom} does not exist; give a folder or a file of DICOM.")
    if job.dicom.is_dir() and job.out.resolve().is_relative_to(job.dicom.resolve()):
        raise BadInput(f"{job.out} lies in the folder that is imported from; choose another --out.")
    pydicom()

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="reading DICOM headers", device="CPU"))
        before = report_steps(emit, stop)

        def listed(done: int, total: int) -> None:
            if done % _REPORT_EVERY == 0 or done == total:
                before(done, total, "")

        export = find_series(job.dicom, listed)
        for sentence in export.notes():
            emit(Note(text=sentence, warning=True))
        chosen = choose(export.series, job.series, job.echo)
        for series in chosen if job.series else export.series:
            if series.problem is not None and (job.series or series.anatomical):
                emit(Note(text=f"Left out: {series.describe()}: {series.problem}.", warning=True))
        usable = [series for series in chosen if series.problem is None]
        if not usable:
            raise BadInput(
                f"No series of {job.dicom} can be imported; "
                f"see what is there with ssl-muscle dicom {job.dicom}."
            )
        return _write(plan_cohort(usable, export.series, job.out), job.out, emit, stop)

    return work


def _write(targets: Sequence[Target], cohort: Path, emit: Emit, stop: ShouldStop) -> Outcome:
    written: list[Path] = []
    failed = 0
    stopped = False
    for done, target in enumerate(targets):
        if target.done:
            continue
        if stop():
            stopped = True
            break
        emit(Progress(done=done, total=len(targets), text=target.path.name))
        try:
            voxels = read_series(target.series)
        except BadInput as error:
            emit(Note(text=f"Left out: {error}", warning=True))
            failed += 1
            continue
        describe_cohort(cohort)
        write_target(target, voxels)
        written.append(target.path)
    if stopped and not written:
        raise StoppedByUser
    emit(Progress(done=len(targets), total=len(targets)))
    there = sum(target.done for target in targets)
    subjects = len({target.path.relative_to(cohort).parts[0] for target in targets})
    text = (
        f"{counted(len(written), 'image')} of {counted(subjects, 'subject')} written, "
        f"{there} there already, {failed} left out."
    )
    result = {"text": text, "files": [str(path) for path in written], "out": str(cohort)}
    return Outcome({**result, "there": there, "left_out": failed}, stopped=stopped)
