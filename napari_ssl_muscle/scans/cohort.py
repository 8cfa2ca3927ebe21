"""A cohort: the cases of a folder, their muscle table, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.formats.nifti import not_fetched
from napari_ssl_muscle.scans.layouts import (
    Case,
    Found,
    Layout,
    label_files_of,
    labels_of,
    look_through,
)
from napari_ssl_muscle.scans.muscles import (
    Muscle,
    MuscleTable,
    find_table,
    present_values,
    read_table,
    standard_name,
)
from napari_ssl_muscle.scans.naming import files_in
from napari_ssl_muscle.scans.subjects import (
    guessed_persons,
    one_person,
    read_subjects,
    tell_subjects,
)
from napari_ssl_muscle.scans.volume import (
    LabelMap,
    Scan,
    on_grid_of,
    open_label_map,
    open_scan,
)

__all__ = [
    "Case",
    "Cohort",
    "label_files_of",
    "labels_of",
    "list_cohort",
    "open_cohort",
    "table_of",
]


@dataclass(frozen=True)
class Cohort:
    """The cases that lie in a folder.

    Parameters
    ----------
    cases
        Sorted by name. A case with a file that cannot be used is among them; using it raises the
        sentence that is in `problems`.
    table
        What the label values mean, as far as files in the folder say.
    problems
        Sentences about what is wrong, found from names and headers alone.
    persons
        Person → names of subjects that look like scans of that one person, by their names.
    """

    folder: Path
    layout: Layout
    cases: tuple[Case, ...]
    table: MuscleTable | None
    problems: tuple[str, ...]
    persons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[str, ...]:
        """Every channel that some case has, sorted."""
        return tuple(sorted({channel for case in self.cases for channel in case.images}))

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases with a label map."""
        return tuple(case for case in self.cases if case.labels is not None)

    @property
    def subjects_told(self) -> bool:
        """Whether every subject was told, by BIDS names or a table, and not read from a name."""
        return all(case.subject_known for case in self.cases)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every subject once, sorted."""
        return tuple(sorted({case.subject for case in self.cases}))


def open_cohort(folder: Path) -> Cohort:
    """Find the cases in a folder; of the images only headers are read.

    Parameters
    ----------
    folder
        A BIDS folder (`sub-*/[ses-*/]anat`, label maps `*_dseg` under `derivatives` or beside the
        scans), a raw folder of nnU-Net (`imagesTr`, `imagesTs`, `labelsTr`; without a
        `dataset.json` channels are called by their numbers), one with images that have their
        labels beside them (`X.nii.gz` with `X_seg`, `X_dseg`, `X_label` or `X_labels`), or one
        with a folder for each patient, in which files are called by their channel. A table
        `subjects.tsv` in it says what names do not (see `scans.subjects`).

    Raises
    ------
    BadInput
        If there is no such folder, no scan in it, or `subjects.tsv` cannot be used.
    """
    cohort, found = _listed(Path(folder))
    problems = list(cohort.problems)
    table, table_problems = _one_table(_tables(found))
    problems += table_problems
    for case in cohort.cases:
        missing = [channel for channel in cohort.channels if channel not in case.images]
        if missing:
            problems.append(f"{case.name} has no image of channel {', '.join(missing)}.")
        problems += open_case(case)[2]
    if table is None and cohort.labelled:
        problems.append(
            f"No muscle table was found in {folder}, so labels are called by their numbers; "
            "put an ITK-SNAP .label file or a dseg.tsv beside them."
        )
    return replace(cohort, table=table, problems=tuple(dict.fromkeys(problems)))


def list_cohort(folder: Path) -> Cohort:
    """Find the cases in a folder from the names of its files; no file but tables is opened.

    Returns
    -------
    Without a muscle table, and with those `problems` only that names show.

    Raises
    ------
    BadInput
        As `open_cohort`.
    """
    return _listed(Path(folder))[0]


def _listed(folder: Path) -> tuple[Cohort, Found]:
    if not folder.exists():
        raise BadInput(f"{folder} does not exist; check the path.")
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file; give the folder that holds the scans.")
    try:
        found = look_through(folder)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be read ({error.strerror or error}); change its permissions."
        ) from error
    if not found.cases:
        raise BadInput(
            f"{folder} holds no scans that are laid out as BIDS (sub-*/anat), as nnU-Net "
            "(imagesTr), as image files side by side or in a folder for each patient; check the "
            "path." + "".join(f" {note}" for note in found.notes[:3])
        )
    told, unknown = tell_subjects(found.cases, read_subjects(folder), folder)
    problems = [*found.notes, *unknown]
    told = [_without_missing_labels(case, problems) for case in told]
    cases = tuple(sorted(told, key=lambda case: case.name))
    persons = guessed_persons(cases)
    problems += one_person(persons.values(), folder)
    return Cohort(folder, found.layout, cases, None, tuple(problems), persons), found


def table_of(cohort: Cohort) -> MuscleTable:
    """Return the table of a cohort, after reading all of its label maps.

    Without a table in its folder, the values found are called "label 1", "label 2", ….

    Raises
    ------
    BadInput
        If a label map cannot be used, holds values that the table lacks, tables contradict each
        other, or nothing is labelled.
    """
    table = cohort.table
    tables = _tables(look_through(cohort.folder))
    if table is None and tables:
        _merge(tables)  # raises what `problems` says
    values: set[int] = set()
    for path in _label_maps(cohort.cases):
        labels = open_label_map(path).read()
        if table is not None:
            table.require_known(labels, str(path))
        values.update(present_values(labels))
    if table is not None:
        return table
    values.discard(0)
    if not values:
        raise BadInput(
            f"{cohort.folder} has neither labels nor a muscle table; label at least one slice."
        )
    return MuscleTable(tuple(Muscle(value, f"label {value}") for value in sorted(values)))


def _without_missing_labels(case: Case, problems: list[str]) -> Case:
    """Leave label maps out that are named and not here, and say so."""
    files = [case.labels, *(case.labels_by_channel or {}).values()]
    missing = {file: said for file in files if file and (said := not_fetched(file))}
    if not missing:
        return case
    problems += [f"{said} Until then {case.name} has no labels." for said in missing.values()]
    labels = {
        channel: file
        for channel, file in (case.labels_by_channel or {}).items()
        if file not in missing
    }
    own = next(iter(labels.values()), None) if case.labels in missing else case.labels
    by_channel = None if case.labels_by_channel is None else labels
    return replace(case, labels=own, labels_by_channel=by_channel)


def _label_maps(cases: Iterable[Case]) -> list[Path]:
    """Return every label map of some cases once, sorted."""
    return sorted(
        {
            file
            for case in cases
            for file in (case.labels, *(case.labels_by_channel or {}).values())
            if file is not None
        }
    )


def _tables(found: Found) -> list[Path]:
    """Find the tables of a folder's label maps; without label maps, those of the folder."""
    # A folder of many label maps is listed once, not once for each of them.
    listing = cache(files_in)
    paths = _label_maps(found.cases)
    own = [table for path in paths if (table := find_table(path, listing)) is not None]
    return list(dict.fromkeys(own)) or found.tables


def _one_table(paths: Iterable[Path]) -> tuple[MuscleTable | None, list[str]]:
    try:
        return _merge(paths), []
    except BadInput as error:
        return None, [str(error)]


def _merge(paths: Iterable[Path]) -> MuscleTable | None:
    """Read tables that may each hold a part, and refuse those that contradict each other."""
    muscles: dict[int, tuple[Muscle, Path]] = {}
    ignored: set[int] = set()
    for path in dict.fromkeys(paths):
        table = read_table(path)
        ignored.update(table.ignored)
        for muscle in table.muscles:
            known, source = muscles.setdefault(muscle.value, (muscle, path))
            if standard_name(known.name) != standard_name(muscle.name):
                raise BadInput(
                    f"{source} and {path} contradict each other: label {muscle.value} is "
                    f"{known.name} in one and {muscle.name} in the other; correct one of them."
                )
    if not muscles:
        return None
    return MuscleTable(tuple(muscle for muscle, _ in muscles.values()), tuple(sorted(ignored)))


def open_case(case: Case) -> tuple[list[Scan], LabelMap | None, list[str]]:
    """Open the headers of a case: scans (the first volume of 4D ones), labels, problems.

    The labels lie on the grid of the scans; others are left out.
    """
    scans, problems = [], []
    for path in case.images.values():
        try:
            scans.append(open_scan(path, volume=0))
        except BadInput as error:
            problems.append(str(error))
            continue
        scan = scans[-1]
        if scan.volumes > 1:
            problems.append(f"{path} holds {scan.volumes} volumes; choose one with --volume.")
        problems += scan.notes
    labels = None
    if case.labels is not None:
        try:
            labels = open_label_map(case.labels)
        except BadInput as error:
            problems.append(str(error))
    for scan in scans[1:]:
        difference = scans[0].geometry.differs_from(scan.geometry)
        if difference is not None:
            problems.append(
                f"{scans[0].path} and {scan.path} do not lie on the same grid ({difference})."
            )
    if labels is not None and not scans:
        problems += labels.notes
    if scans and labels is not None:
        try:
            labels = on_grid_of(scans[0], labels)
            problems += labels.content_notes
        except BadInput as error:
            problems.append(str(error))
            labels = None
    return scans, labels, problems
