"""How people lay out folders of scans: BIDS, nnU-Net raw, and images with labels beside them.

Only names are looked at here; no file is opened but nnU-Net's `dataset.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_ssl_muscle.scans.naming import (
    BIDS_TABLE,
    LABEL_ENDINGS,
    NIFTI,
    NNUNET_IMAGES,
    NNUNET_TABLE,
    NOT_IMAGES,
    PREDICTION_ENDING,
    entities,
    is_visible,
    own_table,
    split_channel,
    stem_of,
    subject_and_session,
)

Layout = Literal["bids", "nnunet", "flat"]


@dataclass(frozen=True)
class Case:
    """One subject's session.

    Parameters
    ----------
    name
        Unique in its cohort: `sub-01_ses-2`, or the file's name.
    subject
        Whose it is: `sub-01`, or the part of the name before `_ses-`, or the whole name.
    session
        `ses-2`, or None.
    images
        Channel name → file.
    labels
        The label map, if there is one.
    """

    name: str
    subject: str
    session: str | None
    images: Mapping[str, Path]
    labels: Path | None


@dataclass
class Found:
    """What the names in a folder say."""

    layout: Layout
    cases: list[Case] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_through(folder: Path) -> Found:
    """Recognise the layout of a folder and find its cases; there may be none."""
    if any((folder / name).is_dir() for name in NNUNET_IMAGES):
        return _nnunet(folder)
    if any(path.is_dir() for path in folder.glob("sub-*")):
        found = _bids(folder)
        if found.cases:
            return found
    return _flat(folder)


def label_files_of(scan: Path) -> list[Path]:
    """Find the label maps that belong to a scan, wherever the three layouts keep them.

    Returns
    -------
    The likeliest ground truth first; empty if there is none.
    """
    stem, folder = stem_of(scan), scan.parent
    if folder.name in NNUNET_IMAGES:
        beside = folder.parent / folder.name.replace("images", "labels")
        return _niftis_named(beside, split_channel(stem)[0])
    found = [path for ending in LABEL_ENDINGS for path in _niftis_named(folder, f"{stem}{ending}")]
    root = _bids_root(scan)
    if root is not None:
        case = _bids_case_of(scan)
        found += [path for path in _bids_labels(root) if _bids_case_of(path) == case]
    return list(dict.fromkeys(found))


def labels_of(scan: Path) -> Path | None:
    """Find the label map that belongs to a scan, or None."""
    return next(iter(label_files_of(scan)), None)


def _nnunet(folder: Path) -> Found:
    found = Found("nnunet")
    names, notes = _channel_names(folder / NNUNET_TABLE)
    found.notes += notes
    for part in ("Tr", "Ts"):
        images: dict[str, dict[str, Path]] = {}
        for path in _niftis(folder / f"images{part}"):
            case, number = split_channel(stem_of(path))
            number = number or "0000"
            images.setdefault(case, {})[names.get(number, number)] = path
        labels = {stem_of(path): path for path in _niftis(folder / f"labels{part}")}
        known = {case.name for case in found.cases}
        for name, files in images.items():
            if name in known:
                found.notes.append(f"{name} is in imagesTr and imagesTs; the second is left out.")
                continue
            subject, session = subject_and_session(name)
            found.cases.append(Case(name, subject, session, files, labels.get(name)))
        found.notes += [
            f"{path} has no image in images{part}."
            for name, path in labels.items()
            if name not in images
        ]
    own = folder / NNUNET_TABLE
    found.tables = [own] if own.is_file() else _tables(folder) + _tables(folder / "labelsTr")
    return found


def _channel_names(path: Path) -> tuple[dict[str, str], list[str]]:
    """Read nnU-Net's names of channels by four-digit number (`modality` in its first version)."""
    if not path.is_file():
        return {}, []
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = content.get("channel_names", content.get("modality", {}))
        names = {f"{int(number):04d}": str(name) for number, name in entries.items()}
    except (OSError, ValueError, AttributeError) as error:
        return {}, [f"{path} cannot be read ({error}); channels are called by their numbers."]
    if len(set(names.values())) < len(names):
        return {}, []  # nnU-Net allows the same name twice; numbers tell them apart
    return names, []


def _bids(folder: Path) -> Found:
    found = Found("bids")
    images: dict[str, list[Path]] = {}
    for pattern in ("sub-*/anat", "sub-*/ses-*/anat"):
        for anat in sorted(folder.glob(pattern)):
            for path in _niftis(anat):
                if _suffix(path) not in NOT_IMAGES:
                    images.setdefault(_bids_case_of(path), []).append(path)
    # A suffix that comes twice in any case needs its entities (acq-, part-, echo-, …) everywhere.
    several = {
        suffix
        for paths in images.values()
        for suffix in map(_suffix, paths)
        if [_suffix(path) for path in paths].count(suffix) > 1
    }
    labels: dict[str, list[Path]] = {}
    for path in _bids_labels(folder):
        labels.setdefault(_bids_case_of(path), []).append(path)
    for name, paths in sorted(images.items()):
        subject, session = subject_and_session(name)
        channels = {_bids_channel(path, several): path for path in paths}
        own = labels.get(name, [])
        if len(own) > 1:
            found.notes.append(_several(name, str(own[0]), own))
        found.cases.append(Case(name, subject, session, channels, own[0] if own else None))
    found.notes += [
        f"{paths[0]} has no scan." for name, paths in labels.items() if name not in images
    ]
    found.tables = _tables(folder, (BIDS_TABLE,)) + _tables(folder / "derivatives", (BIDS_TABLE,))
    found.tables += _own_tables(paths[0] for paths in labels.values())
    return found


def _bids_labels(root: Path) -> list[Path]:
    """All label maps of a BIDS folder, drawn by hand first, then by path."""
    paths = [*root.glob("derivatives/**/*_dseg.nii*"), *root.glob("sub-*/**/anat/*_dseg.nii*")]
    files = {path for path in paths if path.name.endswith(NIFTI) and path.is_file()}
    return sorted(files, key=lambda path: ("manual" not in path.as_posix().lower(), path))


def _bids_root(scan: Path) -> Path | None:
    """Find the folder that holds `sub-*`, for a scan somewhere below it."""
    for parent in scan.parents:
        if parent.name.startswith("sub-"):
            return parent.parent
    return None


def _bids_case_of(path: Path) -> str:
    """Subject and session of a file, from its name or else from its folders."""
    known: dict[str, str] = {}
    for name in (*path.parts[:-1], stem_of(path)):
        known.update(entities(name))
    return "_".join(f"{key}-{known[key]}" for key in ("sub", "ses") if key in known)


def _bids_channel(path: Path, several: Iterable[str]) -> str:
    suffix = _suffix(path)
    if suffix not in several:
        return suffix
    more = [f"{key}-{value}" for key, value in entities(stem_of(path)) if key not in ("sub", "ses")]
    return "_".join([*more, suffix])


def _suffix(path: Path) -> str:
    return stem_of(path).rpartition("_")[2]


def _flat(folder: Path) -> Found:
    found = Found("flat")
    files = {stem_of(path): path for path in _niftis(folder)}
    labels = {
        f"{stem}{ending}": stem
        for stem in files
        for ending in LABEL_ENDINGS
        if f"{stem}{ending}" in files
    }
    for stem, path in files.items():
        if stem in labels or stem.endswith(PREDICTION_ENDING):
            continue
        if stem.endswith(LABEL_ENDINGS):
            found.notes.append(f"{path} has no scan beside it.")
            continue
        own = label_files_of(path)
        if len(own) > 1:
            found.notes.append(_several(path.name, own[0].name, own))
        subject, session = subject_and_session(stem)
        found.cases.append(Case(stem, subject, session, {"image": path}, own[0] if own else None))
    common = folder / NNUNET_TABLE
    found.tables = [common] if common.is_file() else []
    # Every label map may bring its own; otherwise any table of the folder holds for all.
    own_tables = _own_tables(case.labels for case in found.cases if case.labels)
    found.tables += own_tables or _tables(folder)
    return found


def _several(name: str, used: str, labels: list[Path]) -> str:
    others = ", ".join(path.name for path in labels[1:])
    return f"{name} has {len(labels)} label maps; {used} is used and {others} is not."


def _niftis(folder: Path) -> list[Path]:
    return _files(folder, NIFTI)


def _niftis_named(folder: Path, stem: str) -> list[Path]:
    return [path for suffix in NIFTI if (path := folder / f"{stem}{suffix}").is_file()]


def _tables(folder: Path, endings: tuple[str, ...] = (".label", BIDS_TABLE)) -> list[Path]:
    """Muscle tables that lie directly in a folder."""
    return _files(folder, endings)


def _own_tables(label_maps: Iterable[Path]) -> list[Path]:
    return [table for path in label_maps if (table := own_table(path)) is not None]


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if is_visible(p, endings) and p.is_file())
