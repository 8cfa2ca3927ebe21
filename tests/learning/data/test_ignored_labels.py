"""Voxels that nobody annotated take no part: neither as a muscle nor as background."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import UNLABELLED, ImageStore
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.volume import open_label_map


def test_ignored_values_are_unlabelled_and_a_slice_of_nothing_else_does_not_train(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    case = cases[0]
    assert case.labels is not None
    image = nib.load(case.labels.path)
    stored = np.asarray(image.dataobj).copy()
    stored[stored == 2], stored[..., 3] = 9, 9  # one muscle, and all of one slice
    nib.save(nib.Nifti1Image(stored, image.affine), tmp_path / "labels.nii.gz")
    seen = replace(case, labels=open_label_map(tmp_path / "labels.nii.gz"))
    store = ImageStore(tmp_path / "cache", tiny.slices, replace(table, ignored=(9,)))
    items = store.items(store.add(seen), labelled=True)
    targets = store.targets(items, store.shapes([0])[0]).numpy()
    missing = store.classes.encode(np.array([table.values[1]]))[0]
    assert 3 not in {item.z for item in items}
    assert (targets == UNLABELLED).any()
    assert missing not in np.unique(targets)
