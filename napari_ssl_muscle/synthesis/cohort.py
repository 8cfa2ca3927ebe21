"""Synthetic images on disk: a cohort in nnU-Net's raw layout, to which more can be added."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_ssl_muscle import __version__
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import file_hash, is_empty, write_json, write_text
from napari_ssl_muscle.phantom.cohort import write_volume
from napari_ssl_muscle.phantom.random_fields import generator
from napari_ssl_muscle.phantom.scan import centred_affine
from napari_ssl_muscle.scans.muscles import MuscleTable, read_table, table_beside
from napari_ssl_muscle.scans.name_parts import subject_and_session
from napari_ssl_muscle.scans.naming import (
    NIFTI,
    NNUNET_IMAGES,
    NNUNET_LABELS,
    NNUNET_TABLE,
    as_file_name,
    case_name,
)
from napari_ssl_muscle.scans.volume import LabelMap, open_label_map
from napari_ssl_muscle.synthesis.image import synthesise
from napari_ssl_muscle.synthesis.settings import (
    Contrast,
    Labels,
    Legs,
    SynthesisSettings,
)

RECORD = "synthesis.json"
"""What the images of a folder were drawn from, by which it is known whether more may be added."""

CHANNEL = "image"
"""Name of the only channel, whatever the contrast: a network shall learn all of them as one."""

IMAGE_MB = 0.7
"""Mean size of an image with its labels on disk, measured on 12 images of six maps."""


@dataclass(frozen=True)
class SourceMap:
    """A label map to draw from; only its header has been read.

    Attributes
    ----------
    subject
        Name of the subject in the cohort.
    """

    labels: LabelMap
    table: MuscleTable
    subject: str

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.labels.name

    def read(self) -> Labels:
        """Read class indices (z, y, x) in the canonical view.

        Raises
        ------
        BadInput
            If the map cannot be read, holds unknown values or no label.
        """
        values = self.labels.read()
        self.table.require_known(values, str(self.labels.path))
        if not values.any():
            raise BadInput(f"{self.labels.path} has no labelled slice; label it, or leave it out.")
        return self.table.encode(values)


def open_maps(paths: Sequence[Path], table: Path | None) -> list[SourceMap]:
    """Open label maps to draw from.

    Parameters
    ----------
    table
        Muscle table of all of them; None for the one beside each map.

    Raises
    ------
    BadInput
        If a map cannot be opened, has no table, or has other muscles than the first one.
    """
    given = None if table is None else read_table(table)
    maps: list[SourceMap] = []
    for path in paths:
        labels = open_label_map(path)
        own = given or table_beside(path)
        if own is None:
            raise BadInput(
                f"There is no muscle table beside {path}, and femur and vessels are placed by the "
                "muscles' names; give one with --table."
            )
        if maps and own.to_rows() != maps[0].table.to_rows():
            raise BadInput(
                f"{path} has another muscle table than {maps[0].labels.path}; "
                "draw from maps of one kind, or give the table of all with --table."
            )
        if labels.geometry.codes[0] not in "SI":
            raise BadInput(
                f"{path} is a single slice seen from the side; give maps of whole thighs."
            )
        subject = as_file_name(subject_and_session(case_name(path))[0])
        maps.append(SourceMap(labels, own, subject))
    return maps


@dataclass(frozen=True)
class Plan:
    """Which images a folder gets. An image is the same however many there are in all.

    Attributes
    ----------
    subjects
        Name of the subject of each map; maps of one person have the same.
    """

    maps: tuple[SourceMap, ...]
    subjects: tuple[str, ...]
    images: int
    contrasts: tuple[Contrast, ...]
    legs: Legs
    seed: int

    def map_of(self, number: int) -> int:
        """Return the number of the map that an image is drawn from."""
        return number % len(self.maps)

    def contrast_of(self, number: int) -> Contrast:
        """Return an image's contrast: each map gets all of them in turn."""
        return self.contrasts[(number + number // len(self.maps)) % len(self.contrasts)]

    def name_of(self, number: int) -> str:
        """Return an image's case; images of one person are sessions of one subject."""
        return f"{self.subjects[self.map_of(number)]}_ses-{number + 1:05d}"

    def files_of(self, folder: Path, number: int) -> tuple[Path, Path]:
        """Return the files of an image and of its labels."""
        name = self.name_of(number)
        return (
            folder / NNUNET_IMAGES[0] / f"{name}_0000{NIFTI[0]}",
            folder / NNUNET_LABELS[0] / f"{name}{NIFTI[0]}",
        )

    def record(self) -> dict[str, Any]:
        """Return what has to be the same for images to be added."""
        return {
            "maps": {
                str(number): [item.name, file_hash(item.labels.path)]
                for number, item in enumerate(self.maps)
            },
            "subjects": list(self.subjects),
            "muscles": self.maps[0].table.to_rows(),
            "contrasts": list(self.contrasts),
            "legs": self.legs,
            "seed": self.seed,
        }


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than synthetic images.

    Raises
    ------
    BadInput
        If it is a file, or a folder with other files.
    """
    if folder.is_file():
        raise BadInput(f"{folder} is a file; choose a folder for the images (--out).")
    if folder.is_dir() and not is_empty(folder) and not (folder / RECORD).is_file():
        raise BadInput(
            f"{folder} is not empty and holds no synthetic images; choose a new folder (--out)."
        )


def check_record(folder: Path, plan: Plan) -> None:
    """Refuse to mix images of other maps, contrasts or seeds into those of a folder.

    Raises
    ------
    BadInput
        Naming what differs.
    """
    if not (folder / RECORD).is_file():
        return
    try:
        known = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        different = [name for name, value in plan.record().items() if known.get(name) != value]
    except (OSError, ValueError, AttributeError):
        raise BadInput(
            f"{folder / RECORD} cannot be read, so nothing can be added to {folder}; "
            "choose a new folder (--out)."
        ) from None
    if different:
        raise BadInput(
            f"{folder} holds synthetic images with other settings ({', '.join(different)}); "
            "repeat the command that made them, or choose a new folder (--out)."
        )


def missing_images(folder: Path, plan: Plan) -> list[int]:
    """Return the numbers of the images that the folder still lacks."""
    return [
        number
        for number in range(plan.images)
        if not all(path.is_file() for path in plan.files_of(folder, number))
    ]


def write_images(folder: Path, plan: Plan, before: Callable[[int, int, str], None]) -> None:
    """Write the images that are missing, and what describes the cohort.

    Parameters
    ----------
    before
        Called before each image with how many are there, how many there will be, and its name. What
        it raises ends the work; what is written stays.

    Raises
    ------
    BadInput
        If a map or the folder cannot be used.
    """
    _describe(folder, plan)
    missing = missing_images(folder, plan)
    for done, number in enumerate(missing, plan.images - len(missing)):
        before(done, plan.images, plan.name_of(number))
        _write_image(folder, plan, number)


def _write_image(folder: Path, plan: Plan, number: int) -> None:
    source = plan.maps[plan.map_of(number)]
    settings = SynthesisSettings(plan.contrast_of(number), plan.legs)
    drawn = synthesise(
        source.read(),
        source.labels.geometry.spacing,
        source.table,
        settings,
        generator(plan.seed, "synthetic image", number),
    )
    affine = centred_affine(drawn.labels.shape, drawn.spacing)
    image, labels = plan.files_of(folder, number)
    write_volume(labels, source.table.decode(drawn.labels), affine)
    write_volume(image, drawn.image.astype(np.int16), affine)


def _describe(folder: Path, plan: Plan) -> None:
    """Write the muscle table, what the images were drawn from, and a word for people."""
    muscles = plan.maps[0].table.muscles
    write_json(
        folder / NNUNET_TABLE,
        {
            "channel_names": {"0": CHANNEL},
            "labels": {"background": 0, **{muscle.name: muscle.value for muscle in muscles}},
            "numTraining": plan.images,
            "file_ending": NIFTI[0],
        },
    )
    write_text(
        folder / "README",
        f"Synthetic images, drawn from label maps by napari-ssl-muscle {__version__} "
        f"(seed {plan.seed}); no person was scanned for them. {RECORD} names the maps.\n",
    )
    write_json(folder / RECORD, plan.record())
