"""A tiny phantom cohort on disk, made once."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.events import ignore_event, never_stop
from napari_ssl_muscle.learning.finetune import finetune
from napari_ssl_muscle.learning.settings import (
    AugmentSettings,
    NetworkSettings,
    Recipe,
    SliceSettings,
    TrainingSettings,
)
from napari_ssl_muscle.learning.training.session import RunOptions
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings
from napari_ssl_muscle.scans.muscles import MuscleTable, default_table
from napari_ssl_muscle.scans.volume import open_label_map, open_scan

SLICES = 12


@pytest.fixture(scope="session")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingCase]:
    """Three subjects, 12 slices of 96²; the first and last slice of each carry no label."""
    folder = tmp_path_factory.mktemp("phantoms")
    made = []
    for subject in (1, 2, 3):
        scan = phantom_scan(subject, 1, PhantomSettings(slices=SLICES, size=96))
        labels = scan.labels.copy()
        labels[[0, -1]] = 0
        image_file, label_file = folder / f"{subject}.nii.gz", folder / f"{subject}_dseg.nii.gz"
        for path, array in ((image_file, scan.image), (label_file, labels)):
            write(path, array, scan.affine)
        made.append(
            TrainingCase(
                f"case-{subject}",
                f"subject-{subject}",
                (open_scan(image_file),),
                open_label_map(label_file),
            )
        )
    return made


def write(path: Path, canonical: np.ndarray, affine: np.ndarray) -> None:
    """Write a phantom's ``(z, y, x)`` array; its affine is that of ``(x, y, z)``."""
    nib.save(nib.Nifti1Image(np.ascontiguousarray(array_as_stored(canonical)), affine), path)


def array_as_stored(canonical: np.ndarray) -> np.ndarray:
    stored = canonical.transpose(2, 1, 0)
    return stored.astype(np.int16 if stored.dtype.kind == "f" else stored.dtype)


@pytest.fixture(scope="session")
def table() -> MuscleTable:
    return default_table("thigh")


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    """Learns something in seconds on one thread."""
    return Recipe(
        network=NetworkSettings(width=6, depth=3),
        slices=SliceSettings(crop="leg", spacing=4.0, size=64),
        augment=AugmentSettings.off(),
        training=TrainingSettings(
            steps=40, batch=4, lr=5e-3, validate_every=20, threads=1, device="cpu"
        ),
    )


@pytest.fixture(scope="session")
def trained(
    cases: list[TrainingCase],
    table: MuscleTable,
    tiny: Recipe,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A model, without sides, of the first two subjects."""
    recipe = tiny.model_copy(
        update={"training": tiny.training.model_copy(update={"steps": 300, "validate_every": 60})}
    )
    out = tmp_path_factory.mktemp("runs") / "first"
    out.mkdir()
    return finetune(cases[:2], table, recipe, RunOptions(out, ignore_event, never_stop)).model
