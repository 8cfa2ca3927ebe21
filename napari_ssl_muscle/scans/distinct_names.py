"""Names by which scans and label maps are told apart, in windows, tables and files.

The usual layout, a folder for each patient, gives all files the same name: `p001/water.nii.gz` and
`p002/water.nii.gz`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_ssl_muscle.scans.name_parts import says_only_the_image
from napari_ssl_muscle.scans.naming import as_file_name, case_name, is_label_word

_NO_NAMES = frozenset({"anat", "nifti", "nii", "images", "labels", ""})
"""Folders, in small letters, whose names say nothing about what lies in them."""


def distinct_case_names(paths: Sequence[Path]) -> list[str]:
    """Return a case name for each label map or scan; see `distinct_names`."""
    return distinct_names([case_name(path) for path in paths], paths)


def distinct_names(names: Sequence[str], paths: Sequence[Path | None]) -> list[str]:
    """Put a folder's name before those names that say nobody's or are the same.

    Parameters
    ----------
    names
        What the scans are called by themselves.
    paths
        Their files; None for what is in memory only.

    Returns
    -------
    `p001_water` for `water` in a folder `p001`, as the name says only which image it is. Of those
    that are still the same, each gets more of its file's name, else the nearest folder by which
    they differ, and if one is not enough those above it, too; what has no file, or is the same
    file, gets a number: `leg (2)`.
    """
    parents = [
        () if path is None else tuple(p for p in path.absolute().parent.parts[::-1] if p != "/")
        for path in paths
    ]
    found = [_whose(name, above) for name, above in zip(names, parents, strict=True)]
    _say_more(found, paths)
    for depth in range(max(map(len, parents), default=0)):
        counts = Counter(found)
        for name in [name for name, count in counts.items() if count > 1]:
            group = [i for i, one in enumerate(found) if one == name]
            parts = [parents[i][depth] if depth < len(parents[i]) else "" for i in group]
            if len(set(parts)) > 1:
                for i, part in zip(group, parts, strict=True):
                    found[i] = _after(part, found[i])
    used: set[str] = set()
    for i, name in enumerate(found):
        number = 1
        while found[i] in used:
            number += 1
            found[i] = f"{name} ({number})"
        used.add(found[i])
    return found


def _say_more(names: list[str], paths: Sequence[Path | None]) -> None:
    """Give scans of one subject the names of their files, `sub-01_T1w`, if these differ."""
    counts = Counter(names)
    for name in [name for name, count in counts.items() if count > 1]:
        group = [i for i, one in enumerate(names) if one == name]
        files = [case_name(path) for i in group if (path := paths[i]) is not None]
        if len(set(files)) == len(group) and all(file.startswith(name) for file in files):
            for i, file in zip(group, files, strict=True):
                names[i] = file


def _whose(name: str, parents: Sequence[str]) -> str:
    if not (says_only_the_image(name) or is_label_word(name)):
        return name
    return _after(next((p for p in parents if p.lower() not in _NO_NAMES), ""), name)


def _after(folder: str, name: str) -> str:
    return f"{as_file_name(folder)}_{name}" if folder else name
