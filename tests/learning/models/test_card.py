"""Model cards are read from the file's header, and nothing in a file is trusted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models import card
from napari_ssl_muscle.learning.models.card import (
    ModelCard,
    card_metadata,
    find_model,
    list_models,
    read_card,
)
from napari_ssl_muscle.learning.models.safetensors_header import read_header
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings, preset

MUSCLES = [{"value": 3, "name": "gracilis"}, {"value": 5, "name": "sartorius"}]


def a_card(**changes) -> ModelCard:
    fields = {
        "name": "small",
        "task": "segmentation",
        "network": NetworkSettings(width=4, depth=1),
        "slices": SliceSettings(),
        "in_channels": 1,
        "channels": ["water"],
        "muscles": MUSCLES,
    }
    return ModelCard.model_validate({**fields, **changes})


def write_file(path: Path, header: object, data: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def write_card(path: Path, card: ModelCard) -> Path:
    entry = {"dtype": "F16", "shape": [2, 1], "data_offsets": [0, 4]}
    return write_file(path, {"__metadata__": card_metadata(card), "w": entry}, b"\0" * 4)


def test_card_comes_back_as_it_was(tmp_path):
    card = a_card(
        title="Klein, aber fein: ü",
        spacing=(5.0, 0.8, 0.8),
        dice={"gracilis": 0.91, "mean": 0.9},
        recipe=preset("recommended"),
        training_data=[{"name": "phantom", "subjects": 3}],
        training_subjects=["sub-1"],
        leaking=True,
    )
    path = write_card(tmp_path / "m.safetensors", card)
    assert read_card(path) == card
    assert read_header(path).tensors == {"w": ("F16", (2, 1))}


def test_outputs_and_mask_channel_follow_the_task():
    card = a_card()
    assert (card.outputs, card.mask_channel) == (3, False)
    assert card.muscle_names == ["gracilis", "sartorius"]
    assert card.table.names == ("gracilis", "sartorius")
    assert card.table.values == (3, 5)
    pretext = a_card(task="inpainting", muscles=[], channels=["water", "fat"], in_channels=3)
    assert (pretext.outputs, pretext.mask_channel) == (2, True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"in_channels": 2}, "2 inputs for 1 named channels"),
        ({"muscles": []}, "needs a muscle table"),
        ({"muscles": [{"value": 3}]}, "row without value, name"),
        ({"muscles": [*MUSCLES, MUSCLES[0]]}, "value 3 twice"),
        ({"dice": {"mean": float("nan")}}, "finite"),
        ({"network": {"width": 4, "deep": 2}}, "deep"),
    ],
)
def test_a_card_that_does_not_hold_together_is_not_made(changes, why):
    with pytest.raises(ValidationError, match=why):
        a_card(**changes)


def test_a_card_that_could_not_be_read_back_is_not_written():
    with pytest.raises(ValueError, match="dice"):
        card_metadata(a_card().model_copy(update={"dice": {"mean": float("nan")}}))


def test_card_of_a_newer_program_says_so(tmp_path):
    text = json.loads(a_card().model_dump_json()) | {"format": 2, "network": {"new": 1}}
    path = write_file(tmp_path / "m.safetensors", {"__metadata__": {"card": json.dumps(text)}})
    with pytest.raises(BadInput, match="newer version of this program"):
        read_card(path)


def one_tensor(**changes) -> dict:
    return {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cut off or no safetensors"),
        (b"abc", "cut off or no safetensors"),
        ((2**63).to_bytes(8, "little") + b"{}", "cut off or no safetensors"),
        ((100).to_bytes(8, "little") + b"{}", "cut off or no safetensors"),
        (b"PK\x03\x04" + b"\0" * 60, "pickle.*import-reference"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j", "pickle.*import-reference"),
        ((2).to_bytes(8, "little") + b"[]", "header cannot be read"),
        ((4).to_bytes(8, "little") + b"\xff\xfe{}", "header cannot be read"),
        ((9000).to_bytes(8, "little") + b"[" * 9000, "header cannot be read"),
        (one_tensor(dtype="F99"), "header cannot be read"),
        (one_tensor(shape=[-1]), "header cannot be read"),
        (one_tensor(shape=[10**30]), "header cannot be read"),
        (one_tensor(shape=[True]), "header cannot be read"),
        (one_tensor(data_offsets=[4, 8]), "header cannot be read"),
        ({"__metadata__": {"card": 1}}, "header cannot be read"),
        (one_tensor(), "cut off or has something appended"),
        ({"__metadata__": {"x": "y"}}, "no model card"),
        ({"__metadata__": {"card": "{}"}}, "its card cannot be used"),
        ({"__metadata__": {"card": "nonsense"}}, "its card cannot be used"),
    ],
)
def test_broken_files_are_refused_in_a_sentence(tmp_path, content, why):
    path = tmp_path / "m.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_file(path, content)
    with pytest.raises(BadInput, match=why) as error:
        read_card(path)
    assert str(path) in str(error.value)


def test_lengths_that_look_like_a_pickle_are_read(tmp_path):
    """A header of 0x4B50 bytes begins like a zip file, one of 0x280 bytes like a pickle."""
    for length in (0x4B50, 0x1280):
        metadata = card_metadata(a_card())
        header = json.dumps({"__metadata__": metadata}).encode()
        assert len(header) <= length
        path = write_file(tmp_path / "m.safetensors", header.ljust(length))
        assert path.read_bytes()[:1] in (b"P", b"\x80")
        assert read_card(path).name == "small"


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(BadInput, match="Cannot read the model"):
            read_card(path)


def test_models_are_found_by_file_run_and_name(tmp_path, monkeypatch):
    shipped, runs = tmp_path / "shipped", tmp_path / "runs"
    monkeypatch.setattr(card, "shipped_folder", lambda: shipped)
    starter = write_card(shipped / "starter.safetensors", a_card(name="starter"))
    run = write_card(runs / "one" / "model.safetensors", a_card(name="my run"))
    write_card(runs / ".part-x.safetensors", a_card(name="half"))
    broken = runs / "broken.safetensors"
    broken.write_bytes(b"no")

    listed = list_models([runs, runs, tmp_path / "missing"])
    assert [model.path for model in listed] == [starter, broken, run]
    assert [model.shipped for model in listed] == [True, False, False]
    assert listed[1].card is None
    assert "broken.safetensors" in str(listed[1].problem)

    assert find_model(starter) == starter
    assert find_model(runs / "one") == run
    assert find_model("starter") == starter
    assert find_model("my run", [runs]) == run
    with pytest.raises(BadInput, match=r"no model my run: .*starter"):
        find_model("my run")
    with pytest.raises(BadInput, match=r"holds no model\.safetensors"):
        find_model(runs)
    # A folder that happens to be called like a shipped model does not hide it.
    (tmp_path / "work" / "starter").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    assert find_model("starter") == starter


def test_no_torch_is_needed():
    code = (
        "import sys; from napari_ssl_muscle.learning.models.card import list_models; list_models();"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
