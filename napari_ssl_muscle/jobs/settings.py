"""Every action's settings as data: one class per action.

The same object is built by the shell's options and by the window's forms, is written as
`job.json`, and runs here or in a child process. A field's description is the help of the shell's
option and the tooltip in the form. A new action is a class here (or in a module beside it), its
place in `AnyJob`, and an entry in `napari_ssl_muscle.actions`. Nothing here imports torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from napari_ssl_muscle.jobs.cohort_jobs import FollowJob, ImportJob, MeasureJob, SynthesiseJob
from napari_ssl_muscle.jobs.fields import (
    AUGMENT,
    Argument,
    ComputeDevice,
    EchoNumbers,
    ModelReference,
    Name,
    OverwriteTables,
    SeriesNumbers,
    Start,
    TablesFolder,
    Threads,
    Volume,
    VoxelSize,
    overriding,
)
from napari_ssl_muscle.jobs.job import Job
from napari_ssl_muscle.learning.settings import (
    FreezeMode,
    NetworkSettings,
    Preset,
    PretextSettings,
    SliceSettings,
    TrainingSettings,
)

LENGTHS = ("epochs", "steps", "minutes")
_COMPUTING = ("seed", "threads", "device", "mixed_precision")


@overriding(
    *(n for n in TrainingSettings.model_fields if n not in ("loss", *_COMPUTING)),
    AUGMENT,
    *NetworkSettings.model_fields,
    *SliceSettings.model_fields,
    *_COMPUTING,
)
class LearningJob(Job):
    """What everything that trains has in common: the run's folder, a preset and its overrides.

    An override that is None leaves the preset's value. Where the recipe knows "none" (a limit
    that is not there), an override of 0 says so.
    """

    out: Path = Field(description="Folder of the run; it must not hold another run.")
    preset: Preset = Field("recommended", description="Where every setting starts from.")
    resume: bool = Field(False, description="Continue the stopped run in the folder of the run.")

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Stand for the derived overrides, which a type checker cannot know."""

    @model_validator(mode="after")
    def _one_length(self) -> LearningJob:
        """Refuse two lengths for one training."""
        given = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both say how long to train; give one of them")
        return self


@overriding(*PretextSettings.model_fields)
class PretrainJob(LearningJob):
    """Learn from scans without labels, by restoring what was masked.

    Labels are not looked at, and a scan that cannot be used is left out with a warning. What was
    learned is a run's folder with the model in it, from which a fine-tuning can start.
    """

    action: Literal["pretrain"] = "pretrain"
    cohorts: Annotated[list[Path], Argument("COHORT")] = Field(
        min_length=1, description="Folders with scans (BIDS, nnU-Net raw or flat)."
    )
    init: Start = None
    channels: list[Name] | None = Field(
        None,
        min_length=1,
        description="Image channels that are learned together, as inputs of one network. "
        "Default: every image of a subject counts by itself.",
    )
    volume: Volume = None
    leave_out: list[Name] | None = Field(
        None, min_length=1, description="Subjects whose scans take no part: those of a later test."
    )
    split_file: Path | None = Field(
        None, description="Leave out the test set of this split.json of a fine-tuning."
    )
    transductive: bool = Field(
        False,
        description="Images of test subjects take part, and the model's card says so; "
        "the test set of --split-file then stays in.",
    )


@overriding("loss")
class LabelledJob(LearningJob):
    """What trainings on labelled scans have in common: scans, muscles, and what is set apart."""

    cohort: Annotated[Path | None, Argument("[COHORT]")] = Field(
        None,
        description="Folder with scans and label maps (BIDS, nnU-Net raw or flat). May be left "
        "out where there is a study.",
    )
    study: Path | None = Field(
        None,
        description="Folder of a study: its accepted slices train, too; those that it holds out "
        "never do.",
    )
    init: Start = None
    muscles: list[Name] | None = Field(
        None,
        min_length=1,
        description="Muscles to learn, by name or abbreviation; 'all' for every one in the table. "
        "Default: the six of thigh or calf that the table has.",
    )
    channels: list[Name] | None = Field(
        None, min_length=1, description="Image channels to learn from, where a subject has several."
    )
    volume: Volume = None
    train_on: list[Name] | None = Field(
        None, min_length=1, description="Use only these labelled subjects."
    )
    split: Literal["auto", "subject", "slice", "block", "none"] = Field(
        "auto",
        description="How validation and test data are set apart: by subject; by slice as "
        "published (which leaks); a block of each scan's slices; not at all. Auto: by subject "
        "where three or more are labelled, else a block; nothing from a study alone, whose "
        "held-out slices compare models.",
    )
    split_file: Path | None = Field(None, description="Use this split.json of an earlier run.")
    split_seed: int = Field(0, ge=0, description="Seed of the split alone.")
    accepted_empty: list[Name] | None = Field(
        None,
        min_length=1,
        description="Slices without a label that count as background, as CASE:SLICE; other "
        "slices without a label count as unlabelled.",
    )

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> LabelledJob:
        """Refuse a job without labels, and choices among scans that are not there."""
        if self.cohort is None and self.study is None:
            raise ValueError("there is nothing to learn from; give a COHORT, a --study, or both")
        if self.cohort is None:
            for name in ("volume", "train_on", "accepted_empty"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"--{name.replace('_', '-')} chooses among the scans of a COHORT; "
                        "give one, or leave it out"
                    )
        return self


class FinetuneJob(LabelledJob):
    """Learn muscles from labelled scans.

    From nothing, from a pretraining, or from another model; what was learned is a run's folder
    with the model in it.
    """

    action: Literal["finetune"] = "finetune"
    freeze: FreezeMode = Field("none", description="Part of the network that does not learn.")


class CompareFreezingJob(LabelledJob):
    """Compare what keeping parts of a model fixed does.

    The same fine-tuning of a model (--init) four times: with nothing, the encoder, the decoder, or
    all but the last layer fixed; same seed, same steps, same split. Each is a run's folder in OUT
    with its model; curves and Dice per muscle stand beside each other in freezing.png,
    freezing.csv and freezing.json. --minutes are those of the first one; the others do as many
    steps.
    """

    action: Literal["compare-freezing"] = "compare-freezing"

    @model_validator(mode="after")
    def _something_to_compare(self) -> CompareFreezingJob:
        """Refuse four trainings that could not be compared."""
        if self.init is None:
            raise ValueError(
                "without a model to start from there is nothing worth keeping fixed; "
                "choose one (--init)"
            )
        if self.split == "none":
            raise ValueError(
                "models are compared on slices that none of them trained on, so some have to be "
                "set apart; choose another way to set them apart (--split)"
            )
        return self


@overriding("steps", "epochs", "width", "depth", "size", "spacing", "device")
class ExperimentsJob(Job):
    """Repeat the published study on a cohort: its experiments, tables and figures.

    0 network parameters from scratch, 1 pretext parameters, 2 masking, 3 frozen parts,
    4 fine-tuning parameters, each with the best of those before it by the 3D Dice on validation
    data; then baseline and pretrained models on the test set, and scratch against pretrained at
    few labelled subjects. Each training is a run's folder in OUT; the same command goes on where
    it was stopped. Further experiments: 5 larger networks, 6 other pretext tasks, 7 more scans
    (--scans) to pretrain on.
    """

    action: Literal["experiments"] = "experiments"
    cohort: Annotated[Path, Argument("COHORT")] = Field(
        description="Folder with scans and label maps (BIDS, nnU-Net raw or flat)."
    )
    out: Path = Field(description="Folder of plan, tables, report and runs.")
    preset: Literal["quick", "poster"] = Field(
        "quick",
        description="'poster' is the study as published, for a GPU; 'quick' a demonstration on a "
        "small network, too short to conclude from.",
    )
    experiment: list[int] | None = Field(
        None,
        min_length=1,
        description="Run this experiment and those that it builds on; give it once for each. "
        "Default: 0 to 4.",
    )
    seeds: int | None = Field(
        None, ge=1, description="Seeds of each training. Default: 1 in quick, 3 in poster."
    )
    only: list[Name] | None = Field(
        None,
        min_length=1,
        description="Keep only cells with these values, as SETTING=VALUE; once for each value.",
    )
    labelled: list[int] | None = Field(
        None,
        min_length=1,
        description="Numbers of labelled subjects at which scratch and pretrained are compared. "
        "Default: 1, 2, 4, … as far as there are.",
    )
    scans: list[Path] | None = Field(
        None, min_length=1, description="Folders of more scans without labels (experiment 7)."
    )
    muscles: list[Name] | None = Field(
        None, min_length=1, description="Muscles to learn. Default: as in a fine-tuning."
    )
    channels: list[Name] | None = Field(
        None, min_length=1, description="Image channels to learn from, where there are several."
    )
    pretrain_steps: int | None = Field(
        None, ge=1, description="Length of a pretraining. Default: as long as a fine-tuning."
    )
    dry_run: bool = Field(
        False, description="List the trials and estimate their time on this device; write nothing."
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="Processes that train at the same time. More than one needs the extra "
        "'cluster'. Default: as many as the CPU has cores, one with a GPU or without the extra.",
    )
    scheduler: str | None = Field(
        None,
        min_length=1,
        description="Address of a dask scheduler whose workers train instead; they must see "
        "COHORT and OUT under the same paths.",
    )
    trust_network: bool = Field(
        False,
        description="Send jobs to a --scheduler on another machine without TLS: whoever is on the "
        "network can then run programs on scheduler and workers.",
    )
    threads: int = Field(
        1, ge=1, description="CPU threads of each training; other numbers change the last bits."
    )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Stand for the derived overrides, which a type checker cannot know."""


class SegmentJob(Job):
    """Segment the muscles of scans: one label map each."""

    action: Literal["segment"] = "segment"
    scans: Annotated[list[Path], Argument("SCAN")] = Field(
        min_length=1, description="Scans, folders of a cohort, or DICOM (a folder or a file)."
    )
    model: Annotated[str, ModelReference()] = Field(
        description="Model to use (a file, a run's folder, a shipped model's name)."
    )
    out: Path = Field(description="Folder for the label maps.")
    volume: Volume = None
    channel: Name | None = Field(
        None,
        description="Image channel to take from a cohort or from DICOM (water, fat, inphase). "
        "Default: the model's own.",
    )
    series: SeriesNumbers = None
    echo: EchoNumbers = None
    drop_islands: bool = Field(
        True,
        description="Remove small pieces that lie apart from their muscle, in each leg.",
    )
    spacing: VoxelSize = None
    device: ComputeDevice = "auto"
    threads: Threads = None
    resume: bool = Field(
        False,
        description="Go on where a run was stopped: label maps that this model has made are kept.",
    )
    overwrite: bool = Field(False, description="Replace label maps that are there already.")


@overriding(
    *("mask_percent", "kernel_size", "exact", "inside_body"),
    more_help=" Default: as RUN_A was trained.",
)
class CompareReconstructionsJob(Job):
    """Compare what two pretrainings make of the same slices under the same masks.

    Strips of original, masked image, both reconstructions and both errors, and the errors inside
    the masks as numbers.
    """

    action: Literal["compare-reconstructions"] = "compare-reconstructions"
    first: Annotated[str, ModelReference(), Argument("RUN_A")] = Field(
        description="A pretraining (a run's folder or a model file)."
    )
    second: Annotated[str, ModelReference(), Argument("RUN_B")] = Field(
        description="Another pretraining with the same slice settings."
    )
    cohort: Path = Field(description="Folder with scans (BIDS, nnU-Net raw or flat).")
    out: Path = Field(description="Folder for the strips (PNG) and the figures (JSON).")
    slices: int = Field(
        6, ge=1, le=100, description="Number of slices, spread evenly over the scans."
    )
    channels: list[Name] | None = Field(
        None,
        min_length=1,
        description="Image channels to restore together. Default: those of RUN_A, or every image "
        "by itself.",
    )
    volume: Volume = None
    seed: int = Field(0, ge=0, description="Another seed draws other masks.")
    threads: Threads = None
    overwrite: bool = Field(False, description="Replace results that are there already.")


class CompareJob(Job):
    """Compare two models on the held-out slices of a study.

    Dice per muscle of both, on exactly the same slices.
    """

    action: Literal["compare"] = "compare"
    old: Annotated[str, ModelReference(), Argument("MODEL_OLD")] = Field(
        description="A model (a file, a run's folder, a shipped model's name)."
    )
    new: Annotated[str, ModelReference(), Argument("MODEL_NEW")] = Field(
        description="Another model."
    )
    study: Path = Field(description="Folder of the study.")
    out: TablesFolder
    device: ComputeDevice = "auto"
    threads: Threads = None
    overwrite: OverwriteTables = False


class EvaluateJob(Job):
    """Compare label maps with references (Dice).

    Dice, distances and volumes per muscle and subject, matched by file name.
    """

    action: Literal["evaluate"] = "evaluate"
    predictions: Annotated[Path, Argument("PREDICTIONS")] = Field(
        description="Folder of predicted label maps, or one of them."
    )
    references: Annotated[Path, Argument("REFERENCES")] = Field(
        description="Folder of reference label maps, matched by name, or one of them."
    )
    out: TablesFolder
    table: Path | None = Field(
        None, description="Muscle table of the references. Default: the one beside them."
    )
    prediction_table: Path | None = Field(
        None, description="Muscle table of the predictions. Default: the one beside them."
    )
    by_side: bool = Field(False, description="Give the left and the right leg their own figures.")
    all_slices: bool = Field(
        False,
        description="Count slices without any reference label as background; else they are left "
        "out as unlabelled.",
    )
    spacing: VoxelSize = None
    overwrite: OverwriteTables = False


AnyJob = Annotated[
    PretrainJob
    | CompareReconstructionsJob
    | FinetuneJob
    | CompareFreezingJob
    | ExperimentsJob
    | SegmentJob
    | CompareJob
    | EvaluateJob
    | MeasureJob
    | FollowJob
    | ImportJob
    | SynthesiseJob,
    Field(discriminator="action"),
]
"""Any of the jobs: the one place where an action is registered."""

JOBS: tuple[type[Job], ...] = get_args(get_args(AnyJob)[0])
"""Every action's class; the shell makes one command of each."""
