"""Every action's settings as data: one class per action.

The same object is built by the shell's options and by the window's forms, is written as
`job.json`, and runs here or in a child process. A field's description is the help of the shell's
option and the tooltip in the form. A new action is a class here, its place in `AnyJob`, and a
module of the action's name beside this one (see `jobs.run`). Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_text
from napari_ssl_muscle.learning.settings import (
    AugmentSettings,
    FreezeMode,
    NetworkSettings,
    Preset,
    PretextSettings,
    Recipe,
    Settings,
    SliceSettings,
    TrainingSettings,
    preset,
)

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A name that the user types: a muscle, a channel, a subject."""


@dataclass(frozen=True)
class Argument:
    """Marks a field that the shell takes by its place instead of as an option."""

    metavar: str


@dataclass(frozen=True)
class ModelReference:
    """Marks a field that names a model: a file, a run's folder or a shipped model."""


class Job(BaseModel):
    """Common ground of all jobs: unknown names are refused, values never change."""

    # pydantic writes infinity as null, so that job.json would say something else than the job.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _as_the_recipe_allows(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse at once what the recipe would refuse, in the recipe's words."""
        section = _section_of(info.field_name or "")
        if section is not None and value is not None:
            try:
                _SECTIONS[section].model_validate(
                    {info.field_name: _for_recipe(info.field_name or "", value)}
                )
            except ValidationError as error:
                raise ValueError(error.errors()[0]["msg"]) from None
        return value


def _of(section: type[Settings], name: str, more: str = "") -> Any:
    """Return a field that overrides a preset's value: no default, the recipe's own words."""
    text = section.model_fields[name].description or ""
    return Field(None, description=f"{text}{more}")


DARKEST = "darkest"
"""What the user writes for the smallest value of each image, which in MRI is air."""

_DEVICE = TrainingSettings.model_fields["device"].description
_NONE = " 0 for none."
_AS_A = " Default: as RUN_A was trained."


class LearningJob(Job):
    """What everything that trains has in common: the run's folder, a preset and its overrides.

    An override that is None leaves the preset's value. Where the recipe knows "none" (a limit
    that is not there), an override of 0 says so.
    """

    out: Path = Field(description="Folder of the run; it must not hold another run.")
    preset: Preset = Field("recommended", description="Where every setting starts from.")
    resume: bool = Field(False, description="Continue the stopped run in the folder of the run.")

    epochs: int | None = _of(TrainingSettings, "epochs")
    steps: int | None = _of(TrainingSettings, "steps")
    minutes: float | None = _of(TrainingSettings, "minutes")
    optimizer: Literal["adamw", "adam", "rmsprop"] | None = _of(TrainingSettings, "optimizer")
    lr: float | None = _of(TrainingSettings, "lr")
    momentum: float | None = _of(TrainingSettings, "momentum")
    weight_decay: float | None = _of(TrainingSettings, "weight_decay")
    schedule: Literal["cosine", "constant"] | None = _of(TrainingSettings, "schedule")
    warmup: float | None = _of(TrainingSettings, "warmup")
    clip: float | None = _of(TrainingSettings, "clip", _NONE)
    batch: int | None = _of(TrainingSettings, "batch")
    validate_every: int | None = _of(TrainingSettings, "validate_every")
    patience: int | None = _of(TrainingSettings, "patience", _NONE)
    average: float | None = _of(TrainingSettings, "average")
    augment: bool | None = Field(None, description="Change training images at random.")
    width: int | None = _of(NetworkSettings, "width")
    depth: int | None = _of(NetworkSettings, "depth")
    up: Literal["transposed", "bilinear"] | None = _of(NetworkSettings, "up")
    norm: Literal["batch", "instance", "group"] | None = _of(NetworkSettings, "norm")
    crop: Literal["leg", "body", "none"] | None = _of(SliceSettings, "crop")
    spacing: float | None = _of(SliceSettings, "spacing", _NONE)
    size: int | None = _of(SliceSettings, "size", _NONE)
    margin: float | None = _of(SliceSettings, "margin")
    mirror: bool | None = _of(SliceSettings, "mirror")
    seed: int | None = _of(TrainingSettings, "seed")
    threads: int | None = _of(TrainingSettings, "threads")
    device: Literal["auto", "cpu", "cuda", "mps"] | None = _of(TrainingSettings, "device")
    mixed_precision: bool | None = _of(TrainingSettings, "mixed_precision")

    @model_validator(mode="after")
    def _one_length(self) -> LearningJob:
        """Refuse two lengths for one training."""
        given = [name for name in _LENGTHS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both say how long to train; give one of them")
        return self


class PretrainJob(LearningJob):
    """Learn from scans without labels, by restoring what was masked.

    Labels are not looked at, and a scan that cannot be used is left out with a warning. What was
    learned is a run's folder with the model in it, from which a fine-tuning can start.
    """

    action: Literal["pretrain"] = "pretrain"
    cohorts: Annotated[list[Path], Argument("COHORT")] = Field(
        min_length=1, description="Folders with scans (BIDS, nnU-Net raw or flat)."
    )
    init: Annotated[str | None, ModelReference()] = Field(
        None, description="Start from this model (a file, a run's folder, a shipped model's name)."
    )
    channels: list[Name] | None = Field(
        None,
        min_length=1,
        description="Image channels that are learned together, as inputs of one network. "
        "Default: every image of a subject counts by itself.",
    )
    volume: int | None = Field(
        None, ge=0, description="Which volume of a 4D scan to use, counted from 0."
    )
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
    corruption: Literal["squares", "noise"] | None = _of(PretextSettings, "corruption")
    mask_percent: float | None = _of(PretextSettings, "mask_percent")
    kernel_size: int | None = _of(PretextSettings, "kernel_size")
    exact: bool | None = _of(PretextSettings, "exact")
    inside_body: bool | None = _of(PretextSettings, "inside_body")
    mask_channel: bool | None = _of(PretextSettings, "mask_channel")
    scored: Literal["masked", "image"] | None = _of(PretextSettings, "scored")
    fill: float | Literal["darkest"] | None = Field(
        None,
        description="Value of masked pixels in standard deviations from the image's mean, or "
        "'darkest' for the smallest value of each image.",
    )
    noise: float | None = _of(PretextSettings, "noise")


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
    init: Annotated[str | None, ModelReference()] = Field(
        None, description="Start from this model (a file, a run's folder, a shipped model's name)."
    )
    muscles: list[Name] | None = Field(
        None,
        min_length=1,
        description="Muscles to learn, by name or abbreviation; 'all' for every one in the table. "
        "Default: the six of thigh or calf that the table has.",
    )
    channels: list[Name] | None = Field(
        None, min_length=1, description="Image channels to learn from, where a subject has several."
    )
    volume: int | None = Field(
        None, ge=0, description="Which volume of a 4D scan to use, counted from 0."
    )
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
    loss: Literal["balanced", "dice_ce", "ce"] | None = _of(TrainingSettings, "loss")

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


class SegmentJob(Job):
    """Segment the muscles of scans: one label map each."""

    action: Literal["segment"] = "segment"
    scans: Annotated[list[Path], Argument("SCAN")] = Field(
        min_length=1, description="Scans, or folders of a cohort."
    )
    model: Annotated[str, ModelReference()] = Field(
        description="Model to use (a file, a run's folder, a shipped model's name)."
    )
    out: Path = Field(description="Folder for the label maps.")
    volume: int | None = Field(
        None, ge=0, description="Which volume of a 4D scan to use, counted from 0."
    )
    channel: Name | None = Field(
        None, description="Image channel to take from a cohort. Default: the model's own."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description=_DEVICE)
    threads: int | None = Field(
        None, ge=1, description="CPU threads; other numbers may change the last bits."
    )
    overwrite: bool = Field(False, description="Replace label maps that are there already.")


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
    volume: int | None = Field(
        None, ge=0, description="Which volume of a 4D scan to use, counted from 0."
    )
    mask_percent: float | None = _of(PretextSettings, "mask_percent", _AS_A)
    kernel_size: int | None = _of(PretextSettings, "kernel_size", _AS_A)
    exact: bool | None = _of(PretextSettings, "exact", _AS_A)
    inside_body: bool | None = _of(PretextSettings, "inside_body", _AS_A)
    seed: int = Field(0, ge=0, description="Another seed draws other masks.")
    threads: int | None = Field(
        None, ge=1, description="CPU threads; other numbers may change the last bits."
    )
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
    out: Path = Field(description="Folder for the tables (CSV and JSON).")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description=_DEVICE)
    threads: int | None = Field(
        None, ge=1, description="CPU threads; other numbers may change the last bits."
    )
    overwrite: bool = Field(False, description="Replace tables that are there already.")


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
    out: Path = Field(description="Folder for the tables (CSV and JSON).")
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
    overwrite: bool = Field(False, description="Replace tables that are there already.")


class MeasureJob(Job):
    """Measure volumes and cross-sections of label maps.

    Per muscle and side, in mL and mm² per slice; no reference is needed.
    """

    action: Literal["measure"] = "measure"
    labels: Annotated[list[Path], Argument("LABELS")] = Field(
        min_length=1, description="Label maps, or folders of them."
    )
    out: Path = Field(description="Folder for the tables (CSV and JSON).")
    table: Path | None = Field(
        None, description="Muscle table of the label maps. Default: the one beside them."
    )
    overwrite: bool = Field(False, description="Replace tables that are there already.")


AnyJob = Annotated[
    PretrainJob
    | CompareReconstructionsJob
    | FinetuneJob
    | CompareFreezingJob
    | SegmentJob
    | CompareJob
    | EvaluateJob
    | MeasureJob,
    Field(discriminator="action"),
]
"""Any of the jobs: the one place where an action is registered."""

JOBS: tuple[type[Job], ...] = get_args(get_args(AnyJob)[0])
"""Every action's class; the shell makes one command of each."""

_ADAPTER: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)

_SECTIONS: dict[str, type[Settings]] = {
    "network": NetworkSettings,
    "slices": SliceSettings,
    "training": TrainingSettings,
    "pretext": PretextSettings,
}
_LENGTHS = ("epochs", "steps", "minutes")
_ZERO_IS_NONE = ("spacing", "size", "clip", "patience")


def main_fields(kind: type[Job]) -> list[str]:
    """Return an action's settings that are no `overrides`, in the order that a person expects."""

    def rank(name: str) -> int:
        if any(isinstance(mark, Argument) for mark in kind.model_fields[name].metadata):
            return 0
        if kind.model_fields[name].is_required():
            return 1
        # An action's own ones before those that it shares with others: pydantic has a base
        # class's first.
        return 1 + sum(name in base.model_fields for base in kind.__mro__ if issubclass(base, Job))

    later = {"action", *overrides(kind)}
    return sorted((name for name in kind.model_fields if name not in later), key=rank)


def overrides(kind: type[Job]) -> list[str]:
    """Return the names of the settings that override the preset's (None: leave it).

    An action's own ones come before those that all trainings share.
    """
    names = [
        name
        for name in kind.model_fields
        if issubclass(kind, LearningJob) and (_section_of(name) is not None or name == "augment")
    ]
    return sorted(names, key=lambda name: name in LearningJob.model_fields)


def _section_of(name: str) -> str | None:
    """Return the recipe's section that has a setting of that name."""
    return next((key for key, kind in _SECTIONS.items() if name in kind.model_fields), None)


def _for_recipe(name: str, value: Any) -> Any:
    """Return an override as the recipe has it: none where 0 or a word stands for it."""
    return None if value == DARKEST or (name in _ZERO_IS_NONE and value == 0) else value


def recipe_of(job: LearningJob, base: Recipe | None = None) -> Recipe:
    """Return what a job trains with: its preset with its overrides.

    Parameters
    ----------
    job
        The job.
    base
        What to start from instead of the preset (a model's own network and slices).
    """
    recipe = base or preset(job.preset)
    changed: dict[str, Settings] = {}
    for section, kind in _SECTIONS.items():
        values = getattr(recipe, section).model_dump()
        if section == "training" and any(getattr(job, name) is not None for name in _LENGTHS):
            values.update(dict.fromkeys(_LENGTHS))
        for name in kind.model_fields:
            value = getattr(job, name, None)
            if value is not None:
                values[name] = _for_recipe(name, value)
        changed[section] = kind.model_validate(values)
    if job.augment is not None:
        # A preset without augmentation has no strengths of its own to switch on.
        usual = recipe.augment if recipe.augment != AugmentSettings.off() else AugmentSettings()
        changed["augment"] = usual if job.augment else AugmentSettings.off()
    return recipe.model_copy(update=changed)


def pretext_with(job: Job, base: PretextSettings) -> PretextSettings:
    """Return pretext settings with those that a job overrides."""
    given = {name: getattr(job, name, None) for name in PretextSettings.model_fields}
    changed = {name: _for_recipe(name, v) for name, v in given.items() if v is not None}
    return PretextSettings.model_validate({**base.model_dump(), **changed})


def absolute(job: AnyJob) -> AnyJob:
    """Return the job with every path made absolute, so that it means the same everywhere."""
    values: dict[str, Any] = {}
    for name, field in type(job).model_fields.items():
        value = getattr(job, name)
        if isinstance(value, Path):
            values[name] = value.absolute()
        elif isinstance(value, list):
            values[name] = [v.absolute() if isinstance(v, Path) else v for v in value]
        elif isinstance(value, str) and any(isinstance(m, ModelReference) for m in field.metadata):
            values[name] = str(Path(value).absolute()) if Path(value).exists() else value
    return job.model_copy(update=values)


def write_job(path: Path, job: AnyJob) -> None:
    """Write a job as JSON with absolute paths, whole or not at all."""
    write_text(path, absolute(job).model_dump_json(indent=2) + "\n")


def read_job(path: Path) -> AnyJob:
    """Read a job that `write_job` wrote.

    Raises
    ------
    BadInput
        If the file is missing, is no JSON or is no job; the message names what is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise BadInput(f"Cannot read the job {path}: {reason}.") from error
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise BadInput(f"{path} is not a job: {what_is_wrong(error)}.") from error


def what_is_wrong(error: ValidationError, *, as_option: bool = False) -> str:
    """Return the first thing that a validation found, in one phrase without a full stop.

    Parameters
    ----------
    error
        What pydantic raised.
    as_option
        Write the name as the shell's option (`--split-file`) instead of the field.
    """
    first = error.errors(include_url=False)[0]
    # The discriminator's value leads the place of an error in a job; it is no field.
    actions = {kind.model_fields["action"].default for kind in JOBS}
    place = [str(part) for part in first["loc"] if part not in actions]
    name = ".".join(place)
    if as_option and place:
        name = "--" + place[0].replace("_", "-")
    words = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    if first["type"] != "missing" and isinstance(given, str | int | float):
        words = f"{words} (it is {given!r})" if len(str(given)) < 80 else words
    return f"{name}: {words}" if name else words
