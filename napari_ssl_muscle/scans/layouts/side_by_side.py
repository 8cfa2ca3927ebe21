"""Images with their labels beside them, in one folder or in one folder for each patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_ssl_muscle.scans.layouts.bids import bids_labels_of
from napari_ssl_muscle.scans.layouts.case import Case, Found, assign_labels
from napari_ssl_muscle.scans.layouts.nnunet import nnunet_labels_of
from napari_ssl_muscle.scans.name_parts import (
    CHANNEL_WORDS,
    channel_of,
    contradictions,
    names_a_subject,
    says_only_the_image,
    subject_and_session,
)
from napari_ssl_muscle.scans.naming import (
    BIDS_TABLE,
    LABEL_ENDINGS,
    NNUNET_TABLE,
    PREDICTION_ENDING,
    case_name,
    files_in,
    is_label_word,
    says_labels,
    stem_of,
)

LONE_CHANNEL = "image"
"""What the only image of each case is called where its name says no kind of image."""

_OURS = ("study.json", "job.json", "segment.json", "measures.json")
_MOST_IMAGES = 20
_NO_PATIENTS = frozenset(
    {"derivatives", "images", "imagestr", "imagests", "labels", "labelstr", "labelsts"}
)


def read_flat(folder: Path) -> Found:
    """Find the cases of a folder that holds `X.nii.gz` with `X_seg`, `X_dseg`, … beside it.

    `X_water` and `X_fat` (see `CHANNEL_WORDS`) are the images of one case X.
    """
    found = Found("flat")
    files = {stem_of(path): path for path in files_in(folder)}
    images = {stem: path for stem, path in files.items() if not says_labels(stem)}
    groups = _acquisitions(images)
    used: set[Path] = set()
    for name, channels in groups.items():
        labels = _labels_beside([name, *map(stem_of, channels.values())], files)
        labels += [p for path in channels.values() for p in bids_labels_of(path)]
        used.update(labels)
        labels = list(dict.fromkeys(labels))
        own, by_channel = assign_labels(name, channels, labels, found.notes)
        subject, session = subject_and_session(name)
        told = names_a_subject(name)
        found.cases.append(Case(name, subject, session, channels, own, by_channel, told))
    names = {*groups, *images}
    for stem, path in files.items():
        if stem in images or path in used or stem.endswith(PREDICTION_ENDING):
            continue
        if case_name(path) not in names:
            found.notes.append(f"{path} has no scan beside it.")
        else:
            found.notes.append(
                f"{path} is a mask or label map by its name; it is used neither as scan nor as "
                f"labels (those end in {', '.join(LABEL_ENDINGS)})."
            )
    found.tables = files_in(folder, (NNUNET_TABLE,)) or files_in(folder, (".label", BIDS_TABLE))
    return found


def read_patient_folders(folder: Path) -> Found:
    """Find the cases of a folder with a folder for each patient, and in it one for each visit.

    The folder's name is the subject's, the file's is that of the channel: `p001/water.nii.gz`.
    """
    found = Found("folders")
    for patient in _folders(folder):
        visits = [(None, patient), *((visit.name, visit) for visit in _folders(patient))]
        for visit, place in visits:
            files = files_in(place)
            if len(files) > _MOST_IMAGES:
                return Found("folders")  # no patient has so many: a cohort of another kind
            _add_visit(found, patient.name, visit, {stem_of(path): path for path in files})
    return _with_common_channels(found)


def label_files_of(scan: Path) -> list[Path]:
    """Find the label maps that belong to a scan, wherever the layouts keep them.

    Returns
    -------
    The likeliest ground truth first; empty if there is none.
    """
    raw = nnunet_labels_of(scan)
    if raw is not None:
        return raw
    files = {stem_of(path): path for path in files_in(scan.parent)}
    stem = stem_of(scan)
    found = _labels_beside([stem], files)
    images = {name: path for name, path in files.items() if not says_labels(name)}
    for name, channels in _acquisitions(images).items():
        if scan in channels.values() and len(channels) > 1:
            found += _labels_beside([name], files)
    kinds = [_without(name, scan.parent.name, None) for name in images]
    if len(kinds) == 1 or all(kind == LONE_CHANNEL or says_only_the_image(kind) for kind in kinds):
        found += [path for name, path in files.items() if is_label_word(name)]
    return list(dict.fromkeys([*found, *bids_labels_of(scan)]))


def labels_of(scan: Path) -> Path | None:
    """Find the label map that belongs to a scan, or None."""
    return next(iter(label_files_of(scan)), None)


def _labels_beside(names: Sequence[str], files: Mapping[str, Path]) -> list[Path]:
    return [
        files[f"{name}{ending}"]
        for name in names
        for ending in LABEL_ENDINGS
        if f"{name}{ending}" in files
    ]


def _acquisitions(images: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Group images by acquisition: name of the case → channel → file.

    Names are taken apart only where some case has images of two kinds; a folder of nothing but
    `X_water` is one of scans with one image each.
    """
    parts = {stem: channel for stem in images if (channel := channel_of(stem)) is not None}
    kinds: dict[str, set[str]] = {}
    for channel in parts.values():
        kinds.setdefault(channel.of, set()).add(CHANNEL_WORDS[channel.word.lower()])
    several = any(len(words) > 1 for words in kinds.values())
    groups: dict[str, dict[str, Path]] = {}
    for stem, path in images.items():
        channel = parts.get(stem)
        # The name of another scan, "X" beside "X_water", stays that scan's.
        if channel is None or not several or channel.of in images:
            groups.setdefault(stem, {})[LONE_CHANNEL] = path
        else:
            word = channel.word.lower()
            groups.setdefault(channel.of, {}).setdefault(word, path)
    return groups


def _folders(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "sub-"))
        and path.name.lower() not in _NO_PATIENTS
        and not any((path / name).is_file() for name in _OURS)
    )


def _add_visit(found: Found, patient: str, visit: str | None, files: Mapping[str, Path]) -> None:
    """Add what lies in a patient's folder, or in one of a visit below it."""
    labels = [path for stem, path in files.items() if says_labels(stem)]
    images = {
        _without(stem, patient, visit): path for stem, path in files.items() if path not in labels
    }
    if not files:
        return
    name = patient if visit is None else f"{patient}_{visit}"
    if not images:
        found.notes += [f"{path} has no scan beside it." for path in labels]
        return
    usable = [
        path
        for path in labels
        if is_label_word(stem_of(path)) or stem_of(path).endswith(LABEL_ENDINGS)
    ]
    found.notes += [
        f"{path} is used neither as scan nor as labels." for path in labels if path not in usable
    ]
    stems = {path: kind for kind, path in images.items()}

    def disagree(image: Path, labels: Path) -> tuple[str, ...]:
        drawn_on, kind = _without(case_name(labels), patient, visit), stems[image]
        if drawn_on == kind or drawn_on not in images:
            return contradictions(stem_of(image), case_name(labels))
        channels = {word.lower() in CHANNEL_WORDS for word in (drawn_on, kind)}
        return () if channels == {True} else (f"{kind} against {drawn_on}",)

    own, by_channel = assign_labels(name, images, _likeliest(usable), found.notes, disagree)
    subject, session = subject_and_session(patient)
    found.cases.append(Case(name, subject, visit or session, images, own, by_channel))


def _likeliest(labels: Sequence[Path]) -> list[Path]:
    """Sort label maps; what a program predicted comes last."""
    return sorted(labels, key=lambda path: ("pred" in path.name.lower(), path))


def _without(stem: str, patient: str, visit: str | None) -> str:
    """Take the patient's and the visit's name off a file's: `p001_water` in `p001` is `water`."""
    for part in (f"{patient}_{visit}", patient, visit):
        if part and stem.lower() != part.lower() and stem.lower().startswith(part.lower()):
            stem = stem[len(part) :].lstrip("_-. ") or stem
    return LONE_CHANNEL if stem.lower() in (patient.lower(), (visit or patient).lower()) else stem


def _with_common_channels(found: Found) -> Found:
    """Call the images of patients with one each alike, where their names have nothing in common.

    `p001/IM0042.nii.gz` and `p002/IM0107.nii.gz` are the images of two patients, no two channels.
    """
    names = [channel for case in found.cases for channel in case.images]
    if len(names) > 1 and len(names) == len(set(names)) == len(found.cases):
        for number, case in enumerate(found.cases):
            (path,) = case.images.values()
            # A single image has all of the case's labels, or none.
            found.cases[number] = replace(case, images={LONE_CHANNEL: path}, labels_by_channel=None)
    return found
