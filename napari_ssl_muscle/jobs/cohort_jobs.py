"""Jobs that make a cohort, from DICOM or of synthetic images, and those that measure one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from napari_ssl_muscle.jobs.fields import (
    Argument,
    EchoNumbers,
    Name,
    OverwriteTables,
    SeriesNumbers,
    TablesFolder,
    VoxelSize,
)
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.synthesis.settings import CONTRASTS, TWIN_DICE, Contrast, Legs


class ImportJob(Job):
    """Import DICOM as a pseudonymous cohort.

    A folder with whatever lies in it, a file, or a whole export with many patients becomes NIfTI
    images in the layout of BIDS: subjects and sessions are counted, and no name, ID, date or text
    of a header is written. What an earlier import wrote is skipped. See what is there with
    ssl-muscle dicom.
    """

    action: Literal["import"] = "import"
    dicom: Annotated[Path, Argument("DICOM")] = Field(
        description="A folder of DICOM files, or one of them."
    )
    out: Path = Field(description="Folder of the cohort; a new one, or one of an earlier import.")
    series: SeriesNumbers = None
    echo: EchoNumbers = None


class SynthesiseJob(Job):
    """Draw synthetic images from label maps.

    Images in many contrasts, with their labels, as a cohort to train on (nnU-Net raw layout). What
    a label map does not say is drawn at random: outline, fat, bone, vessels, disease, contrast and
    scanner. The same command goes on where it was stopped, and with more --images adds to them.
    Maps of one person are found by their overlap and count as one subject.
    """

    action: Literal["synthesise"] = "synthesise"
    maps: Annotated[list[Path], Argument("MAPS")] = Field(
        min_length=1, description="Label maps, or folders of them."
    )
    out: Path = Field(description="Folder of the cohort: a new one, or one to go on with.")
    images: int = Field(
        ge=1, le=100_000, description="Number of images; every map gives as many as the others."
    )
    contrast: list[Contrast] | None = Field(
        None,
        min_length=1,
        description=f"Contrasts in turn: {', '.join(CONTRASTS)}. Default: all.",
    )
    legs: Legs = Field(
        "any", description="Both legs, one, or one in a quarter of the images (any)."
    )
    table: Path | None = Field(
        None,
        description="Muscle table of the label maps: a file, or thigh-eleven for the table of that "
        "name which comes with the program. Default: the one beside them.",
    )
    exclude_twins_of: list[Path] | None = Field(
        None,
        min_length=1,
        description="Label map of a person who tests a model: maps that are likely of the same "
        "person are left out. May be given several times.",
    )
    twin_dice: float = Field(
        TWIN_DICE,
        gt=0,
        lt=1,
        description="Mean Dice after alignment from which on two maps count as one person's.",
    )
    seed: int = Field(0, ge=0, description="Another seed draws other images.")


Water = Annotated[
    Name | None,
    Field(description="Channel of the water image, where its name does not say so."),
]
Fat = Annotated[
    Name | None, Field(description="Channel of the fat image, where its name does not say so.")
]
Erosion = Annotated[
    float,
    Field(
        ge=0,
        le=20,
        description="Millimetres by which muscles are made smaller, in their slices, before the "
        "fat fraction is taken.",
    ),
]
Level = Annotated[
    list[Annotated[float, Field(ge=0, le=100)]] | None,
    Field(
        min_length=1,
        description="Where a cross-section is given, in per cent of the scan's length from its "
        "lower end; may be given several times. Default: 25, 50 and 75.",
    ),
]


class MeasureJob(Job):
    """Measure volumes, cross-sections and fat of label maps.

    Per muscle and side: mL, mm² per slice, left against right, and the fat fraction where water
    and fat images are given. No reference is needed.
    """

    action: Literal["measure"] = "measure"
    labels: Annotated[list[Path], Argument("LABELS")] = Field(
        min_length=1, description="Label maps, or folders of them."
    )
    out: TablesFolder
    table: Path | None = Field(
        None, description="Muscle table of the label maps. Default: the one beside them."
    )
    spacing: VoxelSize = None
    images: Path | None = Field(
        None,
        description="Folder of the cohort that the labels were drawn on. Its water and fat images, "
        "fat fraction images, or images in and out of phase, give fat fractions.",
    )
    water: Water = None
    fat: Fat = None
    erosion: Erosion = 0.0
    level: Level = None
    resume: bool = Field(
        False,
        description="Go on where a run was stopped: label maps that were measured are not measured "
        "again.",
    )
    overwrite: OverwriteTables = False


class FollowJob(Job):
    """Follow muscles over months: measure every session of a cohort, and compare.

    Volume, cross-section and fat of each muscle and side, in the order of the sessions: change
    from the first visit with its interval, and means over the subjects. The order is that of the
    numbers in BIDS session names, or a column date, month or order in the cohort's subjects.tsv;
    scans with the same one are repeats, from which the smallest detectable change is computed.
    """

    action: Literal["follow"] = "follow"
    cohort: Annotated[Path, Argument("COHORT")] = Field(description="Folder of the cohort.")
    out: Path = Field(description="Folder for the tables (CSV, JSON, Excel).")
    labels: Path | None = Field(
        None,
        description="Folder of label maps, such as segment wrote. Default: those in the cohort.",
    )
    table: Path | None = Field(
        None, description="Muscle table of the label maps. Default: the one beside them."
    )
    water: Water = None
    fat: Fat = None
    erosion: Erosion = 0.0
    level: Level = None
    held_out: Path | None = Field(
        None,
        description="The evaluation.csv of an evaluation on held-out slices: its error is shown "
        "where there are no repeated scans.",
    )
    norms: Path | None = Field(
        None,
        description="Normative table (CSV: muscle, sex, age, mean_ml, sd_ml; an age is a band such "
        "as 20-29). Sex and age of the subjects are columns of subjects.tsv.",
    )
    truth: Path | None = Field(
        None,
        description="Table of true figures to compare with, such as a phantom's true_volumes.tsv.",
    )
    resume: bool = Field(
        False,
        description="Go on where a run was stopped: label maps that were measured are not measured "
        "again.",
    )
    overwrite: OverwriteTables = False
