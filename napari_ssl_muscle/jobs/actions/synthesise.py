"""Draw synthetic images from label maps."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.pairing import find_label_maps
from napari_ssl_muscle.jobs.cohort_jobs import SynthesiseJob
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob, saved_results
from napari_ssl_muscle.jobs.run_folder import check_writable
from napari_ssl_muscle.learning.events import (
    Emit,
    Note,
    Progress,
    ShouldStop,
    Started,
    StoppedByUser,
)
from napari_ssl_muscle.synthesis.cohort import (
    IMAGE_MB,
    Plan,
    SourceMap,
    check_folder,
    check_record,
    missing_images,
    open_maps,
    write_images,
)
from napari_ssl_muscle.synthesis.settings import CONTRASTS
from napari_ssl_muscle.synthesis.twins import Twins, find_twins, people, signature
from napari_ssl_muscle.text_table import counted


def prepare(job: SynthesiseJob) -> PreparedJob:
    """Check the maps, the folder and the disk; return the work.

    Raises
    ------
    BadInput
        If a map cannot be opened, has no muscle table or other muscles than the first, the folder
        holds something else, or the disk has too little room.
    """
    check_folder(job.out)
    check_writable(job.out)
    maps = open_maps(label_maps(job.maps), job.table)
    tested = label_maps(job.exclude_twins_of or [])
    others = open_maps([*label_maps(job.maps), *tested], job.table)[len(maps) :]
    _check_disk(job.out, job.images)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit(Started(action="drawing synthetic images", device="CPU", total=job.images))
        before = _Timed(emit, stop)
        plan = _plan(job, maps, others, emit, before)
        check_record(job.out, plan)
        missing = len(missing_images(job.out, plan))
        emit(Note(text=_size(job, missing)))
        try:
            write_images(job.out, plan, before)
        except StoppedByUser:
            there = job.images - len(missing_images(job.out, plan))
            return Outcome({"out": str(job.out), "images": there}, stopped=True)
        emit(Progress(done=job.images, total=job.images))
        text = (
            f"{counted(job.images, 'image')} from {counted(len(plan.maps), 'label map')}, "
            f"{counted(len(set(plan.subjects)), 'subject')}"
        )
        return saved_results(job.out, [], text, images=job.images)

    return work


def label_maps(paths: Sequence[Path]) -> list[Path]:
    """Return the label maps that paths name: files, and all those of folders.

    Raises
    ------
    BadInput
        If a folder holds none.
    """
    found: list[Path] = []
    for given in paths:
        inside = find_label_maps(given) if given.is_dir() else [given]
        if not inside:
            raise BadInput(f"There is no label map (.nii, .nii.gz) in {given}.")
        found += inside
    return list(dict.fromkeys(found))


class _Timed:
    """Shows progress with the time that is left, and ends the work once the user wants it."""

    def __init__(self, emit: Emit, stop: ShouldStop) -> None:
        self._emit, self._stop = emit, stop
        self._start: tuple[float, int] | None = None

    def __call__(self, done: int, total: int, name: str) -> None:
        """Take what is done, what there is in all, and what comes next."""
        if self._stop():
            raise StoppedByUser
        now = time.monotonic()
        if self._start is None or done < self._start[1]:
            self._start = now, done
        since, first = self._start
        left = (now - since) / (done - first) * (total - done) if done > first else None
        self._emit(Progress(done=done, total=total, text=name, seconds_left=left))


def compared(
    maps: Sequence[SourceMap],
    dice: float,
    before: Callable[[int, int, str], None],
) -> list[Twins]:
    """Find the maps that are likely of one person, the likest ones first.

    Parameters
    ----------
    dice
        Mean Dice from which on they are.
    before
        Called before each map that is read, and before each pair.

    Raises
    ------
    BadInput
        If a map cannot be read.
    """
    signatures = []
    for number, item in enumerate(maps):
        before(number, len(maps), f"reading {item.name}")
        signatures.append(signature(item.read(), item.labels.geometry.spacing))
    classes = range(1, len(maps[0].table.muscles) + 1)
    return find_twins(
        signatures,
        classes,
        dice=dice,
        progress=lambda done, total: before(done, total, "comparing the maps"),
    )


def _plan(
    job: SynthesiseJob,
    maps: list[SourceMap],
    others: list[SourceMap],
    emit: Emit,
    before: _Timed,
) -> Plan:
    """Leave out the twins of those who test; give the maps of one person one name."""
    together = maps + others
    twins = compared(together, job.twin_dice, before)
    for text in twin_sentences(twins, [item.name for item in together]):
        emit(Note(text=text))
    person = people(len(together), twins)
    tested = {person[number] for number in range(len(maps), len(together))}
    used = [number for number in range(len(maps)) if person[number] not in tested]
    if not used:
        raise BadInput(
            "Every map is likely of a person of --exclude-twins-of, so nothing is left to draw "
            "from; give other maps or a higher --twin-dice."
        )
    if len(used) < len(maps):
        left_out = ", ".join(item.name for n, item in enumerate(maps) if n not in used)
        emit(Note(text=f"Left out as maps of a person who tests: {left_out}."))
    return Plan(
        maps=tuple(maps[number] for number in used),
        subjects=tuple(together[person[number]].subject for number in used),
        images=job.images,
        contrasts=tuple(job.contrast or CONTRASTS),
        legs=job.legs,
        seed=job.seed,
    )


def twin_sentences(twins: Sequence[Twins], names: Sequence[str]) -> list[str]:
    """Return a sentence for each pair of maps that are likely of one person."""
    return [
        f"{names[pair.first]} and {names[pair.second]} are likely of one person "
        f"(mean Dice {pair.dice:.2f} after alignment)."
        for pair in twins
    ]


def _size(job: SynthesiseJob, missing: int) -> str:
    there = job.images - missing
    already = f"{counted(there, 'image')} of {job.images} are there already; " if there else ""
    return (
        f"{already}{counted(missing, 'image')} will take about {missing * IMAGE_MB:.0f} MB on disk."
    )


def _check_disk(folder: Path, images: int) -> None:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e6
    if images * IMAGE_MB > free:
        raise BadInput(
            f"{counted(images, 'image')} need about {images * IMAGE_MB:.0f} MB, and the disk of "
            f"{folder} has {free:.0f} MB free; make fewer, or choose another folder."
        )
