"""BIDS: `sub-*/[ses-*/]anat`, label maps `*_dseg` under `derivatives` or beside the scans."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from napari_ssl_muscle.scans.layouts.case import Case, Found, assign_labels
from napari_ssl_muscle.scans.name_parts import contradictions, entities, subject_and_session
from napari_ssl_muscle.scans.naming import (
    BIDS_TABLE,
    NOT_IMAGES,
    STUDY,
    SUFFIXES,
    case_name,
    files_in,
    is_visible,
    stem_of,
    without_headers,
)


def read_bids(folder: Path) -> Found:
    """Find the cases of a BIDS folder."""
    found = Found("bids")
    images: dict[str, list[Path]] = {}
    for pattern in ("sub-*/anat", "sub-*/ses-*/anat"):
        for anat in sorted(folder.glob(pattern)):
            for path in files_in(anat):
                if _suffix(path).lower() not in NOT_IMAGES:
                    images.setdefault(_case_of(path), []).append(path)
    # A suffix that comes twice in any case needs its entities (acq-, part-, echo-, …) everywhere.
    several = {
        suffix
        for paths in images.values()
        for suffix in map(_suffix, paths)
        if [_suffix(path) for path in paths].count(suffix) > 1
    }
    labels: dict[str, list[Path]] = {}
    for path in _label_maps(folder):
        labels.setdefault(_case_of(path), []).append(path)
    for name, paths in sorted(images.items()):
        subject, session = subject_and_session(name)
        channels = {_channel(path, several): path for path in paths}
        own, by_channel = assign_labels(name, channels, labels.get(name, []), found.notes)
        found.cases.append(Case(name, subject, session, channels, own, by_channel, True))
    found.notes += [
        f"{path} has no scan."
        for name, paths in labels.items()
        if name not in images
        for path in paths
    ]
    found.tables = [
        table
        for place in (folder, folder / "derivatives")
        for table in files_in(place, (BIDS_TABLE,))
    ]
    return found


def bids_labels_of(scan: Path) -> list[Path]:
    """Find the label maps of a scan that lies in a BIDS folder; none if it lies in none."""
    root = next((p.parent for p in scan.parents if p.name.startswith("sub-")), None)
    if root is None:
        return []
    case = _case_of(scan)
    return [
        path
        for path in _label_maps(root)
        if _case_of(path) == case and not contradictions(stem_of(scan), case_name(path))
    ]


def _label_maps(root: Path) -> list[Path]:
    """All label maps of a BIDS folder, drawn by hand first, then by path."""
    paths = [*root.glob("derivatives/**/*_dseg.*"), *root.glob("sub-*/**/anat/*_dseg.*")]
    files = {
        p
        for p in without_headers(dict.fromkeys(paths))
        if is_visible(p, SUFFIXES)
        and (p.is_file() or p.is_symlink())
        # A study's label maps hold those slices only that were accepted.
        and not (p.parent.parent / STUDY).is_file()
    }
    return sorted(files, key=lambda path: ("manual" not in path.as_posix().lower(), path))


def _case_of(path: Path) -> str:
    """Subject and session of a file, from its name or else from its folders."""
    known: dict[str, str] = {}
    for name in (*path.parts[:-1], stem_of(path)):
        known.update(entities(name))
    return "_".join(f"{key}-{known[key]}" for key in ("sub", "ses") if key in known)


def _channel(path: Path, several: Iterable[str]) -> str:
    suffix = _suffix(path)
    if suffix not in several:
        return suffix
    more = [f"{key}-{value}" for key, value in entities(stem_of(path)) if key not in ("sub", "ses")]
    return "_".join([*more, suffix])


def _suffix(path: Path) -> str:
    return stem_of(path).rpartition("_")[2]
