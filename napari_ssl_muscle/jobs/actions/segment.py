"""Segment scans: one label map each, and a record of what made it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.evaluation.provenance import versions
from napari_ssl_muscle.files import file_hash
from napari_ssl_muscle.jobs.record import check_replaceable, model_entry, read_record, with_labels
from napari_ssl_muscle.jobs.run import Outcome, PreparedJob
from napari_ssl_muscle.jobs.run_folder import check_free, check_writable
from napari_ssl_muscle.jobs.settings import SegmentJob
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import Emit, Note, ShouldStop, StoppedByUser, emit_warnings
from napari_ssl_muscle.learning.models.card import ModelCard, check_segments, find_model, read_card
from napari_ssl_muscle.learning.segment import ScanToSegment, Segmenter, case_to_segment
from napari_ssl_muscle.scans.cohort import Case, open_cohort
from napari_ssl_muscle.scans.dicom_scans import chosen_scans, is_dicom_place
from napari_ssl_muscle.scans.distinct_names import distinct_names
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import label_files, label_map_name, split_channel
from napari_ssl_muscle.scans.volume import Scan, open_scan, save_label_map
from napari_ssl_muscle.scans.voxel_size import Sizes, of_voxel_size, parse_voxel_size


@dataclass(frozen=True)
class _Target:
    """One label map to make: from one scan per channel of the model."""

    name: str
    subjects: frozenset[str]
    scans: tuple[Scan, ...]
    subject: str | None = None
    session: str | None = None

    @property
    def slices(self) -> int:
        return self.scans[0].geometry.canonical_shape[0]

    def of_size(self, size: Sizes) -> _Target:
        """Return the target with this voxel size where its scans do not say theirs."""
        return replace(self, scans=tuple(of_voxel_size(scan, size) for scan in self.scans))

    def to_segment(self) -> ScanToSegment:
        return case_to_segment(TrainingCase(self.name, "", self.scans), subjects=self.subjects)


def prepare(job: SegmentJob) -> PreparedJob:
    """Check model, scans and folder; return the work.

    Raises
    ------
    BadInput
        If the model cannot segment or is for other channels, a scan cannot be opened or is given
        twice, or one of the files exists.
    """
    path = find_model(job.model)
    card = read_card(path)
    check_segments(card, path)
    check_writable(job.out)
    left_out: list[str] = []
    given = [t for place in job.scans for t in _targets(place, job, card, left_out)]
    if job.spacing is not None:
        given = [target.of_size(parse_voxel_size(job.spacing)) for target in given]
    files = {job.out / label_map_name(target.name): target for target in _named(given, job)}
    record = read_record(job.out)
    there = _made_by(record, files, file_hash(path)) if job.resume else set()
    missing = {file: target for file, target in files.items() if file not in there}
    check_free((out for file in missing for out in label_files(file)), overwrite=job.overwrite)
    for file in missing:
        check_replaceable(file)

    def work(emit: Emit, stop: ShouldStop) -> Outcome:
        emit_warnings(emit, left_out)
        if there:
            text = f"{len(there)} of {len(files)} label maps are there already and stay."
            emit(Note(text=text))
            if not missing:
                return Outcome({"files": [], "model": card.name, "out": str(job.out), "text": text})
        return _segment(job, path, missing, emit, stop)

    return work


def _named(targets: list[_Target], job: SegmentJob) -> list[_Target]:
    """Give the label maps of several patients names that differ, and say whose they are.

    Beside its scan a label map has the scan's name alone, by which it is found again.

    Raises
    ------
    BadInput
        If a scan is given twice.
    """
    scans = [target.scans[0].path for target in targets]
    # A multi-frame file of DICOM holds several scans.
    given = Counter((t.scans[0].path.resolve(), t.scans[0].volume) for t in targets)
    twice = [path for (path, _), count in given.items() if count > 1]
    if twice:
        raise BadInput(f"{twice[0]} is given more than once; give each scan once.")
    beside_scan = [scan.absolute().parent == job.out.absolute() for scan in scans]
    counts = Counter(target.name for target in targets)
    names = distinct_names([target.name for target in targets], scans)
    return [
        target if beside and counts[target.name] == 1 else replace(target, name=name)
        for target, name, beside in zip(targets, names, beside_scan, strict=True)
    ]


def _made_by(record: dict[str, Any], files: Iterable[Path], model: str) -> set[Path]:
    """Return the label maps that are there and that a model of this hash made, corrected or not."""
    return {
        file
        for file in files
        if file.is_file() and record["scans"].get(file.name, {}).get("model_hash") == model
    }


def _targets(given: Path, job: SegmentJob, card: ModelCard, left_out: list[str]) -> list[_Target]:
    """Return what to segment of a scan or a folder; a folder's scans that do not fit are said."""
    if is_dicom_place(given):
        return _of_dicom(given, job, card, left_out)
    if job.series is not None or job.echo is not None:
        raise BadInput(f"{given} is no DICOM; leave --series and --echo out.")
    if given.is_dir():
        targets: list[_Target] = []
        refused: list[BadInput] = []
        for case in open_cohort(given).cases:
            try:
                targets.append(_of_case(case, job, card))
            except BadInput as problem:
                refused.append(problem)
        if refused and not targets:
            raise refused[0]
        left_out += [f"Left out: {problem}" for problem in refused]
        return targets
    scan = open_scan(given, job.volume)
    if card.in_channels > 1:
        raise BadInput(
            f"The model {card.name} needs {card.in_channels} channels "
            f"({', '.join(card.channels)}) and {given} is one image; "
            "give the folder of a cohort that holds all of them."
        )
    subject = subject_and_session(split_channel(scan.name)[0])[0]
    return [_Target(scan.name, frozenset({scan.name, subject}), (scan,))]


def _of_dicom(given: Path, job: SegmentJob, card: ModelCard, left_out: list[str]) -> list[_Target]:
    """Take of each scan the images that the model needs; scans without them are said."""
    found = chosen_scans(given, job.series, job.echo, job.volume)
    targets: list[_Target] = []
    refused: list[BadInput] = []
    for one in found:
        try:
            wanted = _wanted(one.first.name, list(one.images), job, card)
        except BadInput as problem:
            refused.append(problem)
            continue
        scans = tuple(one.images[channel] for channel in wanted)
        name = scans[0].name
        subject = subject_and_session(name)[0]
        targets.append(_Target(name, frozenset({name, subject}), scans, subject))
    if refused and (not targets or job.series is not None):
        raise refused[0]
    left_out += [f"Left out: {problem}" for problem in refused]
    return targets


def _of_case(case: Case, job: SegmentJob, card: ModelCard) -> _Target:
    wanted = _wanted(case.name, list(case.images), job, card)
    scans = tuple(open_scan(case.images[channel], job.volume) for channel in wanted)
    whose = frozenset({case.name, case.subject})
    return _Target(case.name, whose, scans, case.subject, case.session)


def _wanted(name: str, there: Sequence[str], job: SegmentJob, card: ModelCard) -> list[str]:
    """Return which channels of a case the model gets; BadInput if one is not there."""
    wanted = [job.channel] if job.channel is not None else list(card.channels)
    if job.channel is None and len(there) == card.in_channels == 1:
        only = there[0]
        # A lone image whose channel has no name of its own, or a model of such images.
        if _nameless(only) or _nameless(card.channels[0]):
            wanted = [only]
    if len(wanted) != card.in_channels:
        raise BadInput(
            f"The model {card.name} needs the channels {', '.join(card.channels)}; "
            "leave --channel out."
        )
    missing = [channel for channel in wanted if channel not in there]
    if missing:
        raise BadInput(
            f"The model {card.name} was trained on {', '.join(card.channels)} and {name} has "
            f"{', '.join(there)}, not {missing[0]}; choose another model"
            + (", or an image with --channel." if card.in_channels == 1 else ".")
        )
    return wanted


def _nameless(channel: str) -> bool:
    """Whether a channel is only called an image, by nnU-Net's number, or magnitude (DICOM)."""
    return channel.split("_")[0] in ("image", "magnitude") or channel.isdecimal()


def _segment(
    job: SegmentJob,
    path: Path,
    files: dict[Path, _Target],
    emit: Emit,
    stop: ShouldStop,
) -> Outcome:
    segmenter = Segmenter(job.device, job.threads)
    model = segmenter.load(path)
    progress = segmenter.begin("segmenting", sum(t.slices for t in files.values()), emit)
    device = segmenter.device()
    written: list[str] = []
    refused: list[str] = []
    stopped = False
    for file, target in files.items():
        geometry = target.scans[0].geometry
        try:
            found = segmenter.segment(
                path, target.to_segment(), progress, stop, without_islands=job.drop_islands
            )
            check_replaceable(file)  # it may have been drawn meanwhile
        except StoppedByUser:
            stopped = True
            break
        except BadInput as error:
            if len(files) == 1:
                raise
            # The scans after it are not to blame; it is said again at the end.
            refused.append(str(error))
            emit_warnings(emit, [str(error)])
            progress.end()
            continue
        about_files = [note for scan in target.scans for note in scan.notes]
        notes = list(dict.fromkeys([*about_files, *found.notes]))
        whose = "" if len(files) == 1 else f"{target.name}: "
        emit_warnings(emit, [whose + note for note in notes])
        if found.islands_text:
            emit(Note(text=whose + found.islands_text, warning=found.many_islands))
        entry = {
            "scans": [str(scan.path.absolute()) for scan in target.scans],
            "subject": target.subject,
            "session": target.session,
            "volume": target.scans[0].volume,
            "model_hash": str(found.provenance.model_hash),
            "corrected_by_hand": False,
            "unlike_training": list(found.unlike),
            "islands_dropped": job.drop_islands,
            "islands_ml": round(found.islands_ml, 3),
            "device": device,
            "notes": notes,
            "versions": versions(),
        }
        made_by = model_entry(found.provenance, model.card.versions)
        about = partial(with_labels, job.out, model=made_by, entry=entry)
        save_label_map(file, found.labels, geometry, found.table, about)
        written.append(str(file))
        progress.end()
    if refused:
        others = f" ({len(refused) - 1} more scans were refused)" if len(refused) > 1 else ""
        raise BadInput(f"{refused[0].rstrip('.')}{others}; the other scans are segmented.")
    return Outcome({"files": written, "model": model.card.name, "out": str(job.out)}, stopped)
