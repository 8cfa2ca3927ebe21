"""The models that come with the program do what their cards say."""

import re

import numpy as np
import pytest

from napari_ssl_muscle.evaluation.dice import dice_per_class
from napari_ssl_muscle.learning.models.card import list_models, read_card, shipped_folder
from napari_ssl_muscle.learning.models.model_file import load_model
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.phantom.scan import phantom_scan
from napari_ssl_muscle.phantom.settings import PhantomSettings


def test_every_shipped_model_can_be_read_and_is_small() -> None:
    models = [model for model in list_models() if model.shipped]
    assert {model.card.name for model in models if model.card} >= {"phantom"}
    for model in models:
        assert model.problem is None
        assert model.path.stat().st_size <= 10_000_000
        assert model.card is not None
        assert model.card.training_data
        assert all(source.licence and source.source for source in model.card.training_data)


@pytest.mark.parametrize("subject", [1, 2])
def test_the_phantom_model_segments_a_phantom_that_it_never_saw(subject: int) -> None:
    scan = phantom_scan(subject, 1, PhantomSettings(slices=12, seed=2024))
    model = load_model("phantom")
    found = segment_volume(model, scan.image[None], scan.spacing)
    table = model.card.table
    dice = dice_per_class(table.encode(found.labels), table.encode(scan.labels), range(1, 7))
    assert np.mean([value for value in dice.values() if value is not None]) >= 0.85
    assert found.notes == []


def test_no_card_names_a_person_or_a_path() -> None:
    for path in shipped_folder().glob("*.safetensors"):
        text = read_card(path).model_dump_json()
        assert not re.search(r"(^|[\s\"'])(/[a-z]+/|[A-Z]:\\\\)", text)
