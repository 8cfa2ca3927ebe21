"""Model cards: what a model is, read from its file without torch and without unpickling.

A model is one safetensors file; its card is JSON in the file's header, under the metadata key
"card". Reading it costs one small read, so lists of models open at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.muscle_classes import MuscleClasses
from napari_ssl_muscle.learning.data.scan_traits import PredictionTraits, ScanTraits
from napari_ssl_muscle.learning.models.safetensors_header import Header, no_model, read_header
from napari_ssl_muscle.learning.settings import NetworkSettings, Recipe, SliceSettings
from napari_ssl_muscle.scans.muscles import MuscleTable

FORMAT = 1
"""Version of the card; a newer one is refused, an older one is read."""

RUN_FILE = "model.safetensors"
"""Name of the model inside a run's folder."""

CHECKPOINT_FILE = "checkpoint.safetensors"
"""Name of the checkpoint beside it."""

PROBES_FILE = "probes.npz"
"""Name of a pretraining's pictures beside it; see `learning.pretext.probes`."""


class TrainingSource(BaseModel):
    """One source that a model learned from."""

    model_config = ConfigDict(frozen=True)

    name: str
    source: str = ""
    licence: str = ""
    subjects: int = Field(0, ge=0)
    slices: int = Field(0, ge=0)
    labels: str = Field("", description='Who drew them; "none" for unlabelled scans.')


class ModelCard(BaseModel):
    """What a model is, what it expects and what is known of how well it performs."""

    model_config = ConfigDict(frozen=True)

    format: int = Field(FORMAT, ge=1)
    name: str
    title: str = ""
    task: Literal["segmentation", "inpainting"]
    network: NetworkSettings
    slices: SliceSettings
    in_channels: int = Field(ge=1)
    channels: list[str] = Field(description='Names of the image channels, such as ["water"].')
    muscles: list[dict[str, Any]] = Field([], description="Rows of the muscle table, by class.")
    sides_from_leg: bool = Field(
        False,
        description="Left and right muscles are one class; the leg gives a label its side.",
    )
    contrast: str = ""
    contrast_profiles: list[list[FiniteFloat]] = Field(
        [], description="Contrast profiles of training scans; see contrast.profile."
    )
    scan_traits: list[ScanTraits] = Field([], description="Size and shape of the legs in them.")
    prediction_traits: list[PredictionTraits] = Field(
        [], description="What the trained model makes of some of them."
    )
    spacing: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = Field(
        None, description="Typical (dz, dy, dx) in mm of the training scans."
    )
    training_data: list[TrainingSource] = []
    training_subjects: list[str] = []
    dice: dict[str, FiniteFloat] = Field(
        {}, description='Muscle → validation Dice, and "mean"; only where measured.'
    )
    dice_note: str = ""
    split_hash: str | None = None
    leaking: bool = False
    transductive: bool = False
    recipe: Recipe | None = None
    versions: dict[str, str] = {}
    created: str = ""
    notes: list[str] = []

    @field_validator("format")
    @classmethod
    def _known_format(cls, number: int) -> int:
        if number > FORMAT:
            raise ValueError("the model was made by a newer version of this program")
        return number

    @model_validator(mode="after")
    def _is_consistent(self) -> ModelCard:
        # The pretext may add one channel that marks the masked pixels.
        allowed = {len(self.channels)}
        if self.task == "inpainting":
            allowed.add(len(self.channels) + 1)
        elif not self.muscles:
            raise ValueError("a segmentation model needs a muscle table")
        # A table that cannot be read raises BadInput, a ValueError, with its own sentence.
        MuscleTable.from_rows(self.muscles)
        if self.in_channels not in allowed:
            raise ValueError(f"{self.in_channels} inputs for {len(self.channels)} named channels")
        return self

    @property
    def outputs(self) -> int:
        """Outputs of the head: background and muscles, or the image channels for inpainting."""
        return len(self.channels) if self.task == "inpainting" else self.classes.count

    @property
    def synthetic_only(self) -> bool:
        """Whether nothing but synthetic images was learned from."""
        return bool(self.training_data) and all("synthetic" in d.name for d in self.training_data)

    @property
    def mask_channel(self) -> bool:
        """Whether the last input of an inpainting network marks the masked pixels."""
        return self.in_channels > len(self.channels)

    @property
    def muscle_names(self) -> list[str]:
        """Names of the muscles that the network tells apart, in the order of their classes."""
        return list(self.classes.names)

    @property
    def table(self) -> MuscleTable:
        """The muscles that the model labels, and their label values."""
        return MuscleTable.from_rows(self.muscles)

    @property
    def classes(self) -> MuscleClasses:
        """What the network's classes are: the table's muscles, or these without their sides."""
        return MuscleClasses(self.table, self.sides_from_leg)


def default_channels(count: int) -> list[str]:
    """Return names for channels that have none: "image", or "image 1", "image 2" and so on."""
    return ["image"] if count == 1 else [f"image {i + 1}" for i in range(count)]


def read_card(path: Path) -> ModelCard:
    """Read a model's card from the file's header; the weights are not touched.

    Raises
    ------
    BadInput
        If the file is no safetensors file, or has no card, or the card is inconsistent.
    """
    return card_of(read_header(path), path)


def card_of(header: Header, path: Path) -> ModelCard:
    """Return the card in a header that was read from `path`; raises as `read_card`."""
    text = header.metadata.get("card")
    if text is None:
        raise no_model(path, "it carries no model card")
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise no_model(path, f"its card cannot be used ({why})") from error


def card_metadata(card: ModelCard) -> dict[str, str]:
    """Return the metadata under which a model file carries its card.

    Raises
    ------
    ValueError
        If the card could not be read back: a copy with changed fields is checked only here.
    """
    text = card.model_dump_json()
    ModelCard.model_validate_json(text)
    return {"format": "pt", "card": text}


@dataclass(frozen=True)
class ListedModel:
    """A model file that was found: its card, or else a sentence on its problem."""

    path: Path
    card: ModelCard | None
    problem: str | None = None
    shipped: bool = False


def shipped_folder() -> Path:
    """Return the folder of the models that come with the program; it may be empty."""
    return Path(str(files("napari_ssl_muscle"))) / "resources" / "models"


def list_models(folders: Iterable[Path] = ()) -> list[ListedModel]:
    """List the shipped models, then those in other folders; broken ones, too, and each file once.

    Parameters
    ----------
    folders
        Folders with model files, runs, or folders of runs; each is listed by name.
    """
    shipped = shipped_folder()
    found: dict[Path, ListedModel] = {}
    for folder in (shipped, *folders):
        paths = [*sorted(folder.glob("*.safetensors")), *sorted(folder.glob(f"*/{RUN_FILE}"))]
        for path in paths:
            # Files that are still being written begin with a dot.
            if path.name.startswith(".") or path.resolve() in found:
                continue
            try:
                model = ListedModel(path, read_card(path), shipped=folder == shipped)
            except BadInput as problem:
                model = ListedModel(path, None, str(problem), folder == shipped)
            found[path.resolve()] = model
    return list(found.values())


def find_model(name_or_path: str | Path, folders: Iterable[Path] = ()) -> Path:
    """Find a model by its file, its run's folder or its name.

    Parameters
    ----------
    name_or_path
        A .safetensors file, a folder that holds `model.safetensors`, or the name of a shipped
        model or of one in `folders` (file name without ending, or the name in the card).
    folders
        Where else to look for names.

    Raises
    ------
    BadInput
        If there is no such model; the sentence names those that there are.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if (path / RUN_FILE).is_file():
        return path / RUN_FILE
    models = list_models(folders)
    wanted = str(name_or_path)
    for model in models:
        if model.path.name != RUN_FILE and wanted == model.path.stem:
            return model.path
    for model in models:
        if model.card is not None and wanted == model.card.name:
            return model.path
    names = sorted({model.card.name for model in models if model.card is not None})
    there = (
        f"the names known are {', '.join(names)}" if names else "no models are installed by name"
    )
    if path.is_dir():
        raise BadInput(
            f"The folder {path} holds no {RUN_FILE}; give a finished run or a model file."
        )
    raise BadInput(f"There is no model {wanted}: give a model file or a run's folder ({there}).")


def check_segments(card: ModelCard, path: Path | None = None) -> None:
    """Refuse a model that does not segment; `path` names its file.

    Raises
    ------
    BadInput
        If it was trained for another task.
    """
    if card.task != "segmentation":
        raise BadInput(
            f"The model {path or repr(card.name)} was trained for {card.task} and knows no muscles "
            "yet; fine-tune it first, or choose a segmentation model."
        )


def origin(name_or_path: str) -> str:
    """Return what a card calls the model that a training started from; no path of the user's."""
    path = Path(name_or_path)
    if not path.exists():
        return name_or_path
    path = path.resolve()
    return path.parent.name if path.name == RUN_FILE else path.name
