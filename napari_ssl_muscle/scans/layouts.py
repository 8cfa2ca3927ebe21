"""How people lay out folders of scans: BIDS, nnU-Net raw, and images with labels beside them.

Only names are looked at here; no file is opened but nnU-Net's `dataset.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_ssl_muscle.scans.formats.nifti import stem_of

Layout = Literal["bids", "nnunet", "flat"]

_NIFTI = (".nii", ".nii.gz")
_TABLES = (".label", ".tsv")
# Endings of a label map's name, the likeliest ground truth first.
_LABEL_ENDINGS = ("_seg", "_dseg", "_labels", "_label")
# What the program itself writes beside a scan is neither a scan nor the truth.
_OWN_ENDING = "_prediction"
_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
_NOT_IMAGES = {"dseg", "mask", "probseg", "defacemask"}


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
    """What the names in a folder tell."""

    layout: Layout
    cases: list[Case] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_through(folder: Path) -> Found:
    """Recognise the layout of a folder and find its cases; there may be none."""
    if any((folder / name).is_dir() for name in ("imagesTr", "imagesTs")):
        return _nnunet(folder)
    if any(path.is_dir() for path in folder.glob("sub-*")):
        found = _bids(folder)
        if found.cases:
            return found
    return _flat(folder)


def subject_and_session(name: str) -> tuple[str, str | None]:
    """Read subject and session from a case's name: `sub-01_ses-2` gives `sub-01` and `ses-2`.

    `X_ses-2` is a session of X. Any other name is a subject of its own.
    """
    entities = dict(_entities(name))
    session = f"ses-{entities['ses']}" if "ses" in entities else None
    if "sub" in entities:
        return f"sub-{entities['sub']}", session
    return (name.partition("_ses-")[0] if session else name), session


def label_files_of(scan: Path) -> list[Path]:
    """Find the label maps that belong to a scan, wherever the three layouts keep them.

    Parameters
    ----------
    scan
        The image's file.

    Returns
    -------
    The likeliest ground truth first; empty if there is none.
    """
    stem, folder = stem_of(scan), scan.parent
    if folder.name in ("imagesTr", "imagesTs"):
        match = _CHANNEL.match(stem)
        beside = folder.parent / folder.name.replace("images", "labels")
        return _niftis_named(beside, match["case"] if match else stem)
    found = [path for ending in _LABEL_ENDINGS for path in _niftis_named(folder, f"{stem}{ending}")]
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
    names, notes = _channel_names(folder / "dataset.json")
    found.notes += notes
    for part in ("Tr", "Ts"):
        images: dict[str, dict[str, Path]] = {}
        for path in _niftis(folder / f"images{part}"):
            match = _CHANNEL.match(stem_of(path))
            case, number = (match["case"], match["channel"]) if match else (stem_of(path), "0000")
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
    own = folder / "dataset.json"
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
                if _suffix(path) not in _NOT_IMAGES:
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
            found.notes.append(
                f"{name} has {len(own)} label maps; {own[0]} is used and "
                f"{', '.join(path.name for path in own[1:])} is not."
            )
        found.cases.append(Case(name, subject, session, channels, own[0] if own else None))
    found.notes += [
        f"{paths[0]} has no scan." for name, paths in labels.items() if name not in images
    ]
    found.tables = _tables(folder, ("dseg.tsv",)) + _tables(folder / "derivatives", ("dseg.tsv",))
    for paths in labels.values():
        found.tables += _tables_beside(paths[0])
    return found


def _bids_labels(root: Path) -> list[Path]:
    """All label maps of a BIDS folder, drawn by hand first, then by path."""
    paths = [*root.glob("derivatives/**/*_dseg.nii*"), *root.glob("sub-*/**/anat/*_dseg.nii*")]
    files = {path for path in paths if path.name.endswith(_NIFTI) and path.is_file()}
    return sorted(files, key=lambda path: ("manual" not in path.as_posix().lower(), path))


def _bids_root(scan: Path) -> Path | None:
    """Find the folder that holds `sub-*`, for a scan somewhere below it."""
    for parent in scan.parents:
        if parent.name.startswith("sub-"):
            return parent.parent
    return None


def _bids_case_of(path: Path) -> str:
    """Subject and session of a file, from its name or else from its folders."""
    entities: dict[str, str] = {}
    for name in (*path.parts[:-1], stem_of(path)):
        entities.update(_entities(name))
    return "_".join(f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities)


def _bids_channel(path: Path, several: Iterable[str]) -> str:
    suffix = _suffix(path)
    if suffix not in several:
        return suffix
    more = [
        f"{key}-{value}" for key, value in _entities(stem_of(path)) if key not in ("sub", "ses")
    ]
    return "_".join([*more, suffix])


def _suffix(path: Path) -> str:
    return stem_of(path).rpartition("_")[2]


def _entities(stem: str) -> list[tuple[str, str]]:
    return re.findall(r"(?:^|_)([a-zA-Z]+)-([^_]+)", stem)


def _flat(folder: Path) -> Found:
    found = Found("flat")
    files = {stem_of(path): path for path in _niftis(folder)}
    labels = {
        f"{stem}{ending}": stem
        for stem in files
        for ending in _LABEL_ENDINGS
        if f"{stem}{ending}" in files
    }
    for stem, path in files.items():
        if stem in labels or stem.endswith(_OWN_ENDING):
            continue
        if stem.endswith(_LABEL_ENDINGS):
            found.notes.append(f"{path} has no scan beside it.")
            continue
        own = label_files_of(path)
        if len(own) > 1:
            found.notes.append(
                f"{path.name} has {len(own)} label maps; {own[0].name} is used and "
                f"{', '.join(other.name for other in own[1:])} is not."
            )
        subject, session = subject_and_session(stem)
        found.cases.append(Case(stem, subject, session, {"image": path}, own[0] if own else None))
    common = folder / "dataset.json"
    found.tables = [common] if common.is_file() else []
    own_tables = [
        table for case in found.cases if case.labels for table in _tables_beside(case.labels)
    ]
    # Every label map may bring its own; otherwise any table of the folder holds for all.
    found.tables += own_tables or _tables(folder)
    return found


def _niftis(folder: Path) -> list[Path]:
    """NIfTI files of a folder; hidden ones (macOS leaves `._NAME` behind) are no files of ours."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith(_NIFTI) and not path.name.startswith(".") and path.is_file()
    )


def _niftis_named(folder: Path, stem: str) -> list[Path]:
    return [
        path for suffix in (".nii.gz", ".nii") if (path := folder / f"{stem}{suffix}").is_file()
    ]


def _tables(folder: Path, endings: tuple[str, ...] = (".label", "dseg.tsv")) -> list[Path]:
    """Muscle tables that lie directly in a folder."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.endswith(endings) and not path.name.startswith(".") and path.is_file()
    )


def _tables_beside(labels: Path) -> list[Path]:
    """Find the table of a label map's own name; one is enough, as both kinds say the same."""
    stem = stem_of(labels)
    own = [path for end in _TABLES if (path := labels.with_name(f"{stem}{end}")).is_file()]
    return own[:1]
