"""Muscle tables as files: ITK-SNAP, 3D Slicer, BIDS and nnU-Net."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import require_whole_set, write_text
from napari_ssl_muscle.scans.muscles.names import Colour
from napari_ssl_muscle.scans.muscles.table import MuscleTable, tidy_table
from napari_ssl_muscle.scans.muscles.table_mark import require_same_mark
from napari_ssl_muscle.scans.name_parts import entities
from napari_ssl_muscle.scans.naming import (
    BIDS_TABLE,
    NNUNET_TABLE,
    SUFFIXES,
    case_name,
    files_in,
    own_table,
    stem_of,
)

SHIPPED_TABLES = ("thigh-eleven",)
"""Muscle tables that come with the program: eleven muscles of the thigh with the values of the
public label maps of Hirriririir/Multimodal-Multiethnic-Thigh-Muscle-MRI-analysis."""

Row = tuple[int, str, str, Colour | None]

# index, red, green, blue, opacity, visible, mesh visible, "name"
_ITKSNAP = re.compile(r'^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\d+)\s+(\d+)\s+"(.*)"\s*$')
# index, name without spaces, red, green, blue, opacity
_SLICER = re.compile(r"^\s*(\d+)\s+(\S+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*$")
_HIGHEST = 2**31 - 1
_HEADER = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
################################################
"""


def read_table(path: Path) -> MuscleTable:
    """Read a muscle table; the background is left out.

    Parameters
    ----------
    path
        ITK-SNAP's label description (`.label`, `.txt`), 3D Slicer's colour table (`.ctbl`), a
        BIDS `dseg.tsv`, or nnU-Net's
        `dataset.json` (either way round of its `labels`). A name of `SHIPPED_TABLES` stands for
        the table of that name, unless there is a file of that path.

    Raises
    ------
    BadInput
        If the file is missing, is none of these, or names no muscle.
    """
    path = Path(path)
    require_whole_set(path)
    if path.name in SHIPPED_TABLES and not path.exists():
        shipped = files("napari_ssl_muscle") / "resources" / "muscles" / f"{path.name}.tsv"
        return tidy_table(_read_bids(shipped.read_text(encoding="utf-8"), path))
    try:
        text = read_text(path)
    except OSError as error:
        raise BadInput(
            f"The muscle table {path} cannot be read ({error.strerror or error}); check the path."
        ) from error
    readers = {".json": _read_nnunet, ".tsv": _read_bids, ".label": _read_itksnap}
    readers |= {".txt": _read_itksnap, ".ctbl": _read_slicer}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(
            f"{path} is no muscle table that can be read; give an ITK-SNAP .label or .txt, "
            "a 3D Slicer .ctbl, a BIDS dseg.tsv or an nnU-Net dataset.json."
        )
    rows = [row for row in reader(text, path) if row[0] != 0]
    if not rows:
        raise BadInput(f"The muscle table {path} names no muscle; add one line for each label.")
    if too_large := [row[0] for row in rows if abs(row[0]) > _HIGHEST]:
        raise BadInput(f"{path} has the label value {too_large[0]}, which no label map can hold.")
    try:
        return tidy_table(rows)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def table_beside(path: Path) -> MuscleTable | None:
    """Return the muscle table that belongs to a label map, or None.

    Raises
    ------
    BadInput
        If a table is there and cannot be read, or was written with labels of other muscles.
    """
    require_whole_set(path)
    table = find_table(path)
    if table is None:
        return None
    require_same_mark(path, table)
    return read_table(table)


def find_table(
    path: Path, listing: Callable[[Path, tuple[str, ...]], list[Path]] = files_in
) -> Path | None:
    """Find the file of the muscle table that belongs to a label map, or None.

    Looked for, in this order: a table of the label map's own name (`NAME.label`, `NAME.tsv`), and
    in its folder and those above it `dataset.json` (nnU-Net), a BIDS table whose entities the
    label map's name has too (`dseg.tsv`, `desc-manual_dseg.tsv`), and an ITK-SNAP `.label` file if
    there is exactly one that is not another label map's own. It is looked for one folder up, and
    in BIDS up to the dataset, as its inheritance principle has it.

    `listing` is `files_in`, or what remembers its answers.
    """
    table = own_table(path) or own_table(path, case_name(path))
    if table is not None:
        return table
    for folder in _folders_above(path):
        if (table := folder / NNUNET_TABLE).is_file():
            return table
        inherited = [one for one in listing(folder, (BIDS_TABLE,)) if _applies(one, path)]
        if inherited:
            return max(inherited, key=lambda one: len(entities(stem_of(one))))
        shared = [
            table
            for table in listing(folder, (".label",))
            if not any((folder / f"{table.stem}{suffix}").exists() for suffix in SUFFIXES)
        ]
        if len(shared) == 1:
            return shared[0]
    return None


def read_text(path: Path) -> str:
    """Read a text file that any program may have written: UTF-8, UTF-16 with a mark, or Latin-1."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _folders_above(path: Path) -> list[Path]:
    """Folders in which a label map's table may lie, nearest first."""
    parents = list(path.absolute().parents)
    subject = next((i for i, p in enumerate(parents) if p.name.startswith("sub-")), None)
    if subject is None:
        return parents[:2]
    top = subject + 2
    # derivatives/PIPELINE/sub-01: the dataset itself is two folders above the pipeline.
    if "derivatives" in [parent.name for parent in parents[subject : subject + 3]]:
        top += 2
    return parents[:top]


def _applies(table: Path, labels: Path) -> bool:
    """Whether every entity of a table's name is in that of the label map, or of its folders."""
    there = {entity for part in labels.parts[-6:] for entity in entities(part)}
    there |= set(entities(stem_of(labels)))
    return set(entities(table.stem)) <= there


def itksnap_text(table: MuscleTable, comment: str = "") -> str:
    """Return ITK-SNAP's label description, background first as ITK-SNAP expects it."""
    lines = ['    0     0    0    0        0  0  0    "Clear Label"']
    for muscle in table.muscles:
        red, green, blue = muscle.shown_colour
        name = muscle.name.replace('"', "'")
        lines.append(f'{muscle.value:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{name}"')
    header = f"{_HEADER}# {comment}\n" if comment else _HEADER
    return header + "\n".join(lines) + "\n"


def tsv_text(table: MuscleTable) -> str:
    """Return a BIDS `dseg.tsv` with the columns index, name, abbreviation and color."""
    lines = ["index\tname\tabbreviation\tcolor"]
    for muscle in table.muscles:
        red, green, blue = muscle.shown_colour
        name = " ".join(muscle.name.split())
        short = " ".join(muscle.abbreviation.split()) or "n/a"
        lines.append(f"{muscle.value}\t{name}\t{short}\t#{red:02X}{green:02X}{blue:02X}")
    return "\n".join(lines) + "\n"


def write_itksnap(table: MuscleTable, path: Path) -> None:
    """Write ITK-SNAP's label description."""
    write_text(path, itksnap_text(table))


def write_tsv(table: MuscleTable, path: Path) -> None:
    """Write a BIDS `dseg.tsv`."""
    write_text(path, tsv_text(table))


def _read_itksnap(text: str, path: Path) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ITKSNAP.match(line)
        if match is None:
            raise BadInput(
                f"Line {number} of {path} is not a line of an ITK-SNAP label table: "
                'write the number, red, green, blue, opacity, two times 0 or 1, and "the name".'
            )
        value, red, green, blue = (int(match[group]) for group in (1, 2, 3, 4))
        rows.append((value, match[8], "", (red, green, blue)))
    return rows


def _read_slicer(text: str, path: Path) -> list[Row]:
    """Read 3D Slicer's colour table, which writes spaces in names as underscores."""
    rows: list[Row] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SLICER.match(line)
        if match is None:
            raise BadInput(
                f"Line {number} of {path} is not a line of a 3D Slicer colour table: write the "
                "number, the name without spaces, red, green, blue and opacity."
            )
        if match[2] != "(none)":  # Slicer fills up unused numbers
            red, green, blue = (int(match[group]) for group in (3, 4, 5))
            rows.append((int(match[1]), match[2].replace("_", " "), "", (red, green, blue)))
    return rows


def _read_bids(text: str, path: Path) -> list[Row]:
    reader = csv.DictReader(text.splitlines(), delimiter="\t")
    if not {"index", "name"} <= set(reader.fieldnames or ()):
        raise BadInput(
            f"{path} is not a BIDS label table: its first line must name the columns "
            "index and name, with tabs between them."
        )
    rows: list[Row] = []
    for number, line in enumerate(reader, start=2):
        index, name = line["index"], line["name"]
        try:
            value = int(index)
        except (TypeError, ValueError):
            raise BadInput(
                f"Line {number} of {path} has the index {index!r}; write a whole number."
            ) from None
        if not name:
            raise BadInput(f"Line {number} of {path} has no name; write one for label {value}.")
        short = line.get("abbreviation") or ""
        rows.append((value, name, "" if short == "n/a" else short, _hex(line.get("color"))))
    return rows


def _read_nnunet(text: str, path: Path) -> list[Row]:
    try:
        content: Any = json.loads(text)
        labels = content["labels"]
        rows: list[Row] = []
        for key, entry in labels.items():
            # nnU-Net 2 writes name → value, its predecessor value → name.
            if isinstance(entry, list):
                # A region of several labels, "whole muscle": no label of its own in the files.
                if len(entry) != 1:
                    continue
                entry = entry[0]
            value, name = (entry, key) if isinstance(entry, int) else (int(key), entry)
            if not isinstance(name, str):
                raise TypeError(name)
            rows.append((value, name, "", None))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f'{path} is not an nnU-Net dataset.json: it needs "labels" with one whole number '
            "for each name."
        ) from error
    return rows


def _hex(text: str | None) -> Colour | None:
    match = re.fullmatch(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})", text or "")
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None
