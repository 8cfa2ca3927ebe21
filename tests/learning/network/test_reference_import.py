"""Checkpoints of the reference U-Net become models; nothing in them is ever run.

The names of the reference's tensors are those recorded in `data/unet_reference.npz`; see
`test_unet.py` for how, and for the proof that equal weights give equal outputs.
"""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.model_file import load_model
from napari_ssl_muscle.learning.network import reference_import
from napari_ssl_muscle.learning.network.reference_import import import_reference, key_map
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.scans.muscles import Muscle, MuscleTable

RECORDED = Path(__file__).parent / "unet_reference.npz"
TABLE = MuscleTable((Muscle(7, "gracilis"), Muscle(2, "sartorius")))


def reference_keys(up: str) -> list[str]:
    with np.load(RECORDED) as recorded:
        return str(recorded[f"{up}_keys"][0]).split(";")


def a_checkpoint(up="transposed", classes=3, in_channels=1) -> tuple[dict, UNet]:
    """Weights under the reference's names, in its order, and the network that they are from."""
    torch.manual_seed(5)
    net = UNet(in_channels, classes, width=4, up=up)
    net(torch.randn(2, in_channels, 32, 32))
    values = (tensor.clone() for tensor in net.state_dict().values())
    return dict(zip(reference_keys(up), values, strict=True)), net.eval()


@pytest.fixture
def in_process(monkeypatch):
    """Convert without a child process, to save its start where the content is harmless."""

    def convert(checkpoint, plain, seconds):
        try:
            reference_import._convert(checkpoint, plain)
        except reference_import._UnusableError as error:
            raise reference_import._unusable(checkpoint, str(error)) from error

    monkeypatch.setattr(reference_import, "_convert_in_child", convert)


@pytest.mark.parametrize("up", ["transposed", "bilinear"])
def test_names_are_the_references(up):
    names = key_map(4, up)
    assert list(names) == reference_keys(up)
    assert list(names.values()) == list(UNet(1, 2, width=4, up=up).state_dict())


def test_import_through_the_child_process(tmp_path):
    state, net = a_checkpoint()
    checkpoint, out = tmp_path / "checkpoint_epoch5.pth", tmp_path / "models" / "old.safetensors"
    torch.save({**state, "mask_values": [0, 40, 80]}, checkpoint)
    card = import_reference(checkpoint, out)
    model = load_model(out)
    assert model.card == card
    assert card.name == "old"
    assert card.network == net.network
    # Without a table the classes go by the masks' pixel values.
    assert card.table.values == (40, 80)
    assert [path.name for path in out.parent.iterdir()] == ["old.safetensors"]
    image = torch.randn(1, 1, 37, 41)
    with torch.no_grad():
        assert torch.equal(model.net(image), net(image))


def test_bilinear_several_channels_named_muscles(tmp_path, in_process):
    state, net = a_checkpoint("bilinear", in_channels=3)
    checkpoint, out = tmp_path / "c.pth", tmp_path / "m.safetensors"
    torch.save(state, checkpoint)
    card = import_reference(checkpoint, out, table=TABLE, title="Ours of 2021")
    assert card.network.up == "bilinear"
    assert (card.in_channels, len(card.channels), card.outputs) == (3, 3, 3)
    assert card.table.same_muscles(TABLE)
    assert card.title == "Ours of 2021"
    image = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(load_model(out).net(image), net(image))


class Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_a_malicious_checkpoint_runs_nothing(tmp_path):
    state, _ = a_checkpoint()
    marker, checkpoint = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({**state, "mask_values": Payload(marker)}, checkpoint)
    with pytest.raises(BadInput, match=r"evil\.pth is no checkpoint .* other things than weights"):
        import_reference(checkpoint, tmp_path / "m.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]
    # The payload does work: opened in the ordinary way, the same file runs it.
    torch.load(checkpoint, weights_only=False)
    assert marker.exists()


def test_a_child_that_takes_too_long_is_ended(tmp_path):
    state, _ = a_checkpoint()
    checkpoint = tmp_path / "c.pth"
    torch.save(state, checkpoint)
    with pytest.raises(BadInput, match=r"took longer than 0\.01 s"):
        import_reference(checkpoint, tmp_path / "m.safetensors", seconds=0.01)
    assert not (tmp_path / "m.safetensors").exists()


def test_a_failing_child_is_no_fault_of_the_file(tmp_path, monkeypatch):
    checkpoint = tmp_path / "c.pth"
    checkpoint.write_bytes(b"x")
    done = subprocess.CompletedProcess([], 1, b"", b"Traceback\nMemoryError: too little\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(RuntimeError, match="MemoryError: too little"):
        import_reference(checkpoint, tmp_path / "m.safetensors")
    done.returncode = -11  # it crashed on what it read
    with pytest.raises(BadInput, match="ended the process"):
        import_reference(checkpoint, tmp_path / "m.safetensors")


def test_no_other_module_opens_pickles():
    package = Path(reference_import.__file__).parents[2]
    opens = re.compile(
        r"\bpickle\.\w|import pickle|(?<!safetensors\.)torch\.load\("
        r"|allow_pickle=True|joblib|read_pickle"
    )
    found = {path.name for path in package.rglob("*.py") if opens.search(path.read_text("utf-8"))}
    assert found == {"reference_import.py"}


def changed(**entries):
    return lambda state: state.update(entries)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (changed(epoch=3), "other things than named weights"),
        (changed(more=torch.zeros(2)), "more is unknown"),
        (lambda s: s.pop("up2.up.bias"), r"up2\.up\.bias is missing"),
        (lambda s: s.pop("inc.double_conv.0.weight"), "no first or last convolution"),
        (
            changed(**{"up4.conv.double_conv.3.weight": torch.zeros(4, 4, 1, 1)}),
            r"up4\.conv\.double_conv\.3\.weight has shape \(4, 4, 1, 1\) instead of",
        ),
        (changed(**{"outc.conv.bias": torch.zeros(1).expand(10**12)}), "larger than the file"),
        (changed(**{"outc.conv.bias": torch.zeros(3).to_sparse()}), "not plain numbers"),
        (changed(**{"outc.conv.bias": torch.zeros(3, device="meta")}), "not plain numbers"),
        (changed(**{"outc.conv.bias": torch.full((3,), torch.nan)}), "not finite"),
        (changed(**{"outc.conv.weight": torch.zeros(1, 4, 1, 1)}), "single output"),
        (changed(**{"inc.double_conv.0.weight": torch.zeros(2, 1, 3, 3)}), "width"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, in_process, change, why):
    state, _ = a_checkpoint()
    change(state)
    checkpoint, out = tmp_path / "c.pth", tmp_path / "m.safetensors"
    torch.save(state, checkpoint)
    with pytest.raises(BadInput, match=why):
        import_reference(checkpoint, out)
    assert not out.exists()


def test_other_files_and_missing_ones(tmp_path, in_process):
    checkpoint, out = tmp_path / "c.pth", tmp_path / "m.safetensors"
    with pytest.raises(BadInput, match="There is no file"):
        import_reference(checkpoint, out)
    checkpoint.write_bytes(b"no pickle at all")
    with pytest.raises(BadInput, match="damaged"):
        import_reference(checkpoint, out)
    torch.save([1, 2], checkpoint)
    with pytest.raises(BadInput, match="no state dict"):
        import_reference(checkpoint, out)


def test_muscles_must_fit_the_classes(tmp_path, in_process):
    state, _ = a_checkpoint(classes=4)
    checkpoint = tmp_path / "c.pth"
    torch.save(state, checkpoint)
    with pytest.raises(BadInput, match="4 classes, background included, but 2 muscles were named"):
        import_reference(checkpoint, tmp_path / "m.safetensors", table=TABLE)


@pytest.mark.parametrize("values", [[0, 5], [1, 5, 6], [0, 5, 5], [0, 0.5, 1], [[0], [1], [2]], 3])
def test_mask_values_of_another_kind_are_not_used(tmp_path, in_process, values):
    state, _ = a_checkpoint()
    checkpoint = tmp_path / "c.pth"
    torch.save({**state, "mask_values": values}, checkpoint)
    card = import_reference(checkpoint, tmp_path / "m.safetensors")
    assert card.table.values == (1, 2)
    assert json.loads(card.model_dump_json())["muscles"][0]["name"] == "class 1"
