"""Which prediction belongs to which reference, and whose they are: from the file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.distinct_names import distinct_case_names
from napari_ssl_muscle.scans.name_parts import (
    contradictions,
    likely_persons,
    subject_and_session,
)
from napari_ssl_muscle.scans.naming import (
    NNUNET_IMAGES,
    SUFFIXES,
    case_name,
    has_role,
    is_visible,
    visit_name,
    without_headers,
)


@dataclass(frozen=True)
class Pair:
    """Two label maps, and what their file names have in common: the case's name in reports."""

    name: str
    prediction: Path
    reference: Path

    @property
    def subject(self) -> str:
        """The subject, from the name: `sub-01`, what stands before `_ses-`, or the whole name."""
        return subject_and_session(self.name)[0]

    @property
    def session(self) -> str | None:
        """The session, from the name: `ses-2`, or None where it says none."""
        return subject_and_session(self.name)[1]


@dataclass(frozen=True)
class Pairing:
    """Pairs sorted by name, label maps that found no partner, and remarks about the pairs.

    A report names these, lest a missing prediction be taken for a good one.
    """

    pairs: tuple[Pair, ...]
    without_reference: tuple[Path, ...] = ()
    without_prediction: tuple[Path, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What was left over and what is odd, in sentences."""
        return [*self.remarks, *self._left_over()]

    def _left_over(self) -> list[str]:
        return [
            f"{text}, so not evaluated: {_few(paths)}."
            for paths, text in (
                (self.without_prediction, "No prediction was found for"),
                (self.without_reference, "No reference was found for"),
            )
            if paths
        ]


def match(predictions: Path, references: Path) -> Pairing:
    """Pair the label maps of two folders by name, or two files with each other.

    Names are compared without what only says what a file is (`_seg`, `_dseg`, `_label`,
    `_prediction`, …). Those that are left over are compared once more by subject, session and run
    alone where the names are BIDS names (`sub-01_ses-2_T1w_dseg` is a label map of
    `sub-01_ses-2`), or without nnU-Net's channel number (`CASE_0000_seg` is one of `CASE`). Where a
    name is in several folders, its folder belongs to it (`p001/water_seg` is of `p001_water`).

    Parameters
    ----------
    predictions, references
        Two folders, searched with their subfolders, or two image files. A folder that lies in
        the other one is left out of the search there.

    Raises
    ------
    BadInput
        If a path or any label map is missing, one is a file and the other a folder, none match,
        or a name has several partners.
    """
    predictions, references = Path(predictions), Path(references)
    for path in (predictions, references):
        if not path.exists():
            raise BadInput(f"{path} does not exist; give label maps or a folder of them.")
    if predictions.is_file() and references.is_file():
        pair = Pair(distinct_case_names([predictions])[0], predictions, references)
        against = _against(predictions, references)
        said = f"By their names {predictions.name} and {references.name} are not of one scan"
        return Pairing((pair,), remarks=(f"{said} ({against}).",) if against else ())
    if predictions.is_file() or references.is_file():
        raise BadInput(
            f"{predictions} and {references} are a file and a folder; "
            "give two label maps, or two folders of them."
        )
    left = find_label_maps(predictions, but_not=references)
    right = find_label_maps(references, but_not=predictions)
    for folder, files in ((predictions, left), (references, right)):
        if not files:
            raise BadInput(f"There is no image file (.nii.gz, .nrrd, …) in {folder}.")
    pairs: list[Pair] = []
    remarks: list[str] = []
    for key in (_by_folder(left, right), case_name, visit_name):
        found = _pair_by(key, left, right, remarks)
        pairs += found
        left = [p for p in left if p not in {pair.prediction for pair in found}]
        right = [p for p in right if p not in {pair.reference for pair in found}]
    if not pairs:
        raise BadInput(
            f"No prediction in {predictions} has the name of a reference in {references}: "
            f"{_few(left)} stand against {_few(right)}; "
            "give both the same name, apart from endings such as _seg or _prediction."
        )
    persons = likely_persons(pair.subject for pair in pairs)
    remarks += [
        f"{' and '.join(subjects)} look like one person; they count as {len(subjects)} subjects."
        for subjects in persons.values()
    ]
    return Pairing(
        tuple(sorted(pairs, key=lambda p: p.name)), tuple(left), tuple(right), tuple(remarks)
    )


def find_label_maps(folder: Path, but_not: Path | None = None) -> list[Path]:
    """Return the image files in a folder and below that look like label maps, sorted.

    Where some names end in `_seg`, `_dseg`, `_label` or the like, the others are taken for the
    images that they belong to. nnU-Net's image folders, hidden files and folders, and the folder
    `but_not`, where it lies below `folder`, are left out.
    """
    other = but_not.resolve() if but_not is not None else None
    if other is not None and folder.resolve() not in other.parents:
        other = None
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if (
            is_visible(path, SUFFIXES)
            and path.is_file()
            and not any(part.startswith(".") or part in NNUNET_IMAGES for part in parts)
            and (other is None or other not in path.resolve().parents)
        ):
            files.append(path)
    files = without_headers(files)
    said = [path for path in files if has_role(path)]
    return said or files


def _by_folder(*sides: Sequence[Path]) -> Callable[[Path], str]:
    """Return the key that tells equal names in several folders apart.

    Equal names in one folder keep them: which of two label maps of a case is meant is not known.
    """
    keys: dict[Path, str] = {}
    for paths in sides:
        in_folder = Counter((path.parent, case_name(path)) for path in paths)
        rivals = {name for (_, name), count in in_folder.items() if count > 1}
        for path, name in zip(paths, distinct_case_names(paths), strict=True):
            keys[path] = case_name(path) if case_name(path) in rivals else name
    return keys.__getitem__


def _pair_by(
    key: Callable[[Path], str], left: Sequence[Path], right: Sequence[Path], remarks: list[str]
) -> list[Pair]:
    """Pair what has the same key; BadInput where that leaves a choice.

    Names that contradict each other in another part, another acquisition say, are no pair, which
    is remarked.
    """
    predictions, references = _grouped(key, left), _grouped(key, right)
    pairs = []
    for name in sorted(predictions.keys() & references.keys()):
        ours, theirs = predictions[name], references[name]
        fitting = [(p, r) for p in ours for r in theirs if not _against(p, r)]
        for several, column in ((ours, 0), (theirs, 1)):
            chosen = [pair[column] for pair in fitting]
            if twice := [path for path in several if chosen.count(path) > 1]:
                rivals = [pair[1 - column] for pair in fitting if pair[column] == twice[0]]
                raise BadInput(
                    f"{_few(rivals)} are all label maps of the same case {name}; "
                    "leave one of them in the folder, or give two files."
                )
        if not fitting:
            remarks.append(
                f"{_few(ours)} and {_few(theirs)} are not of one scan "
                f"({_against(ours[0], theirs[0])}), so they are not compared."
            )
        for prediction, reference in fitting:
            called = name if len(fitting) == 1 else case_name(reference)
            pairs.append(Pair(called, prediction, reference))
    return pairs


def _against(prediction: Path, reference: Path) -> str:
    """Return which parts of two names contradict each other; empty if none do."""
    return ", ".join(contradictions(case_name(prediction), case_name(reference)))


def _grouped(key: Callable[[Path], str], paths: Sequence[Path]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups


def _few(paths: Sequence[Path], most: int = 4) -> str:
    names = [path.name for path in paths[:most]]
    if len(paths) > most:
        names.append(f"{len(paths) - most} more")
    return ", ".join(names)
