"""What the names of files say: suffixes and endings in one place, for all rooms.

Names only; no file is opened here. What the parts of a scan's name say is in `name_parts`. Suffixes
are those of an image's format (`.nii.gz`), endings are what stands before them and says what the
file is for (`_dseg`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

NIFTI = (".nii.gz", ".nii")
"""Suffixes of the files that are looked for in folders, the one that is written here first."""

SUFFIXES = (
    *(*NIFTI, ".hdr", ".img.gz", ".img", ".mgz", ".mgh"),
    *(".nrrd", ".nhdr", ".mha", ".mhd", ".gipl.gz", ".gipl"),
)
"""Suffixes of all image formats that can be opened, longer ones before their own ends."""

TABLE_SUFFIXES = (".label", ".tsv")
"""Suffixes of a label map's own muscle table: ITK-SNAP and BIDS."""

SUBJECTS_TABLE = "subjects.tsv"
"""The table beside a cohort in which the user says whose scans they are."""

NNUNET_TABLE, BIDS_TABLE = "dataset.json", "dseg.tsv"
"""Names of a muscle table that holds for all label maps of a folder."""

NNUNET_IMAGES, NNUNET_LABELS = ("imagesTr", "imagesTs"), ("labelsTr", "labelsTs")
"""Folders of nnU-Net's raw layout."""

STUDY = "study.json"
"""The file by which the folder of a study of accepted slices is known."""

LABEL_ENDINGS = ("_seg", "_dseg", "_labels", "_label", ".seg")
"""Endings of the label map that belongs to the scan beside it, the likeliest ground truth first.

Fewer than what says "labels" elsewhere: `_mask` beside a scan is as often the mask of a body or a
brain, and `_prediction` is a model's answer; neither must be taken for the truth.
"""

PREDICTION_ENDING = "_prediction"
"""What the program itself writes beside a scan whose `_dseg` is there already."""

NOT_IMAGES = frozenset({"dseg", "mask", "probseg", "defacemask", "seg", "labels", "label"})
"""BIDS suffixes in an `anat` folder that are no scans."""

_LABELS = "seg|segmentation|dseg|labels?|masks?|pred|prediction|gt"
# In a name by itself these may as well be those of an image ("_ref": the reference scan); between
# two label maps that are compared they only say which is which.
_ROLES = rf"{_LABELS}|predicted|ground[_-]?truth|reference|ref"
_LABEL_NAME = re.compile(rf"[._-]({_LABELS})$", re.IGNORECASE)
_ROLE_NAME = re.compile(rf"[._-]({_ROLES})$", re.IGNORECASE)
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
# As strict as BIDS about values: "sub-01 copy" is of sub-01.
_VISIT = re.compile(r"(?:^|_)(sub|ses|run)-([A-Za-z0-9]+)")


def stem_of(path: Path) -> str:
    """File name without the suffix of its image format: `leg_T1w.nii.gz` gives `leg_T1w`."""
    name = Path(path).name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def is_image(path: Path) -> bool:
    """Whether a name is that of an image that can be opened, in capitals or not."""
    return path.name.lower().endswith(SUFFIXES)


def is_visible(path: Path, endings: tuple[str, ...]) -> bool:
    """Whether a file in a folder has one of these ends, in capitals or not, and is not hidden.

    macOS leaves `._NAME` behind, which is no file of ours.
    """
    return path.name.lower().endswith(endings) and not path.name.startswith(".")


def files_in(folder: Path, endings: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """Return the visible files of a folder with these ends, sorted: images, if none are given.

    Of a pair `.hdr` and `.img` only the image file is given. A link to a file that is not here is
    among them, so that it is missed rather than overlooked.
    """
    if not folder.is_dir():
        return []
    files = [
        path
        for path in folder.iterdir()
        if is_visible(path, endings) and (path.is_file() or path.is_symlink())
    ]
    return without_headers(files)


def without_headers(files: Iterable[Path]) -> list[Path]:
    """Return files sorted, of a pair `.hdr` and `.img` only the image file."""
    files = sorted(files)
    pairs = {
        path.with_name(stem_of(path))
        for path in files
        if path.name.lower().endswith((".img", ".img.gz"))
    }
    return [
        path
        for path in files
        if not (path.name.lower().endswith(".hdr") and path.with_name(stem_of(path)) in pairs)
    ]


def label_map_name(case: str) -> str:
    """Name of the file in which a case's label map is written: `CASE_dseg.nii.gz`."""
    return f"{case}_dseg{NIFTI[0]}"


def label_files(path: Path) -> list[Path]:
    """Files that a label map is written to: the image, `NAME.label` (ITK-SNAP), `NAME.tsv` (BIDS).

    Parameters
    ----------
    path
        Of the image; `.nii.gz` is added where it names no NIfTI file.
    """
    path = Path(path)
    stem = stem_of(path)
    image = path if path.name.lower().endswith(NIFTI) else path.with_name(f"{stem}{NIFTI[0]}")
    return [image, *(path.with_name(f"{stem}{suffix}") for suffix in TABLE_SUFFIXES)]


def with_nifti_suffix(path: Path) -> Path:
    """Return the path ending in `.nii.gz`, whatever NIfTI suffix or none it had."""
    name = path.name
    for suffix in (".gz", ".nii"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return path.with_name(name + NIFTI[0])


def as_file_name(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._ ") or "scan"


def says_labels(stem: str) -> bool:
    """Whether the name of a file, given by itself, says that it holds labels."""
    return _LABEL_NAME.search(stem) is not None or is_label_word(stem)


def is_label_word(stem: str) -> bool:
    """Whether a whole name says no more than that the file holds labels: `seg`, `Labels`."""
    return _LABEL_NAME.search(f"_{stem}") is not None and "_" not in stem and "-" not in stem


def has_role(path: Path) -> bool:
    """Whether a file's name says which part it has in a comparison (`_seg`, `_reference`, …)."""
    return _ROLE_NAME.search(stem_of(path)) is not None


def case_name(path: Path) -> str:
    """Return a file's name without `.nii.gz` and without all endings such as `_seg`."""
    name = stem_of(path)
    while (shorter := _ROLE_NAME.sub("", name)) and shorter != name:
        name = shorter
    return name


def visit_name(path: Path) -> str:
    """Return what two label maps of one visit have in common when their `case_name` differs.

    Subject, session and run of a BIDS name (`sub-01_ses-2_T1w_dseg` is of `sub-01_ses-2`);
    another name without nnU-Net's channel number (`CASE_0000_seg` is of `CASE`).
    """
    name = case_name(path)
    visit = _VISIT.findall(name)
    if any(key == "sub" for key, _ in visit):
        return "_".join(f"{key}-{value}" for key, value in visit)
    return split_channel(name)[0]


def split_channel(stem: str) -> tuple[str, str | None]:
    """Split nnU-Net's channel number off: `leg_0001` gives `leg` and `0001`, `leg` itself None."""
    match = _CHANNEL.fullmatch(stem)
    return (match["case"], match["channel"]) if match else (stem, None)


def own_table(labels: Path, name: str | None = None) -> Path | None:
    """Find the muscle table of a label map's own name; one is enough, as both kinds say the same.

    `name` is another name to look for beside it.
    """
    stem = stem_of(labels) if name is None else name
    suffixes = (*TABLE_SUFFIXES, *(suffix.upper() for suffix in TABLE_SUFFIXES))
    tables = (labels.with_name(f"{stem}{suffix}") for suffix in suffixes)
    return next((table for table in tables if table.is_file()), None)
