"""Model files: what is saved comes back, and what does not fit is refused."""

import pickle
from pathlib import Path

import pytest
import torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.card import ModelCard, read_card
from napari_ssl_muscle.learning.models.model_file import load_model, save_model
from napari_ssl_muscle.learning.models.safetensors_header import read_header
from napari_ssl_muscle.learning.network.unet import UNet
from napari_ssl_muscle.learning.settings import NetworkSettings, SliceSettings

CARD = ModelCard(
    name="small",
    task="segmentation",
    network=NetworkSettings(width=4, depth=2),
    slices=SliceSettings(),
    in_channels=1,
    channels=["water"],
    muscles=[{"value": 1, "name": "gracilis"}],
)


@pytest.fixture
def net():
    torch.manual_seed(3)
    net = UNet.from_settings(CARD.network, 1, 2).train()
    net(torch.randn(2, 1, 16, 16))  # running statistics that are not the start values
    return net


def test_saved_model_gives_the_same_outputs(tmp_path, net):
    path = save_model(tmp_path / "run" / "model.safetensors", net.state_dict(), CARD)
    model = load_model(tmp_path / "run")
    assert (model.card, model.path) == (CARD, path)
    assert not model.net.training
    image = torch.randn(1, 1, 13, 17)
    with torch.no_grad():
        assert torch.equal(model.net(image), net.eval()(image))
    # The file is not held open or mapped: it can be replaced and deleted while in use.
    save_model(path, net.state_dict(), CARD)
    path.unlink()


def test_memory_layout_does_not_matter(tmp_path, net):
    expected = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.to(memory_format=torch.channels_last)
    path = save_model(tmp_path / "m.safetensors", net.state_dict(), CARD)
    for name, tensor in load_model(path).net.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_half_keeps_vectors_and_large_numbers(tmp_path, net):
    with torch.no_grad():
        net.encoder[1].norm1.running_var.fill_(1e6)
        net.head.weight.fill_(1e5)  # float16 ends at 65504
    full = save_model(tmp_path / "full.safetensors", net.state_dict(), CARD)
    half = save_model(tmp_path / "half.safetensors", net.state_dict(), CARD, half=True)
    assert half.stat().st_size < 0.75 * full.stat().st_size
    types = {name: kind for name, (kind, _) in read_header(half).tensors.items()}
    assert types["encoder.0.conv1.weight"] == "F16"
    assert types["head.weight"] == types["encoder.1.norm1.running_var"] == "F32"
    loaded = load_model(half).net.state_dict()
    for name, tensor in net.state_dict().items():
        assert loaded[name].dtype == tensor.dtype
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-4)
    assert read_card(half) == CARD


def test_weights_that_do_not_fit_the_card(tmp_path, net):
    state = net.state_dict()
    with pytest.raises(ValueError, match=r"head\.weight has shape"):
        save_model(tmp_path / "m", {**state, "head.weight": torch.zeros(3, 4, 1, 1)}, CARD)

    import safetensors.torch

    def written(state, card):
        path = tmp_path / "m.safetensors"
        metadata = {"card": card.model_dump_json()}
        safetensors.torch.save_file(state, path, metadata)
        return path

    other = CARD.model_copy(update={"network": NetworkSettings(width=8, depth=2)})
    with pytest.raises(BadInput, match=r"do not fit its card: encoder\.0\.conv1\.weight has shape"):
        load_model(written(state, other))
    less = {name: tensor for name, tensor in state.items() if name != "head.bias"}
    with pytest.raises(BadInput, match=r"head\.bias is missing"):
        load_model(written(less, CARD))
    with pytest.raises(BadInput, match=r"more belongs to no such network"):
        load_model(written({**state, "more": torch.zeros(1)}, CARD))
    # A card that claims a network of terabytes is refused without building it.
    huge = CARD.model_copy(update={"network": NetworkSettings(width=512, depth=7)})
    with pytest.raises(BadInput, match="do not fit its card"):
        load_model(written(state, huge))
    bad = {**state, "head.bias": torch.tensor([0, torch.nan])}
    with pytest.raises(BadInput, match=r"not finite \(head\.bias\)"):
        load_model(written(bad, CARD))


def test_nothing_is_half_written(tmp_path, net):
    path = save_model(tmp_path / "m.safetensors", net.state_dict(), CARD)
    before = path.read_bytes()
    bad = {**net.state_dict(), "head.bias": torch.tensor([0, torch.inf])}
    with pytest.raises(BadInput, match=r"not finite \(head\.bias\)"):
        save_model(path, bad, CARD)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_truncated_file_and_a_pickle_are_refused(tmp_path, net):
    path = save_model(tmp_path / "m.safetensors", net.state_dict(), CARD)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(BadInput, match="cut off"):
        load_model(path)
    marker = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return Path.touch, (marker,)

    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Payload()))
    torch.save({"x": Payload()}, tmp_path / "evil.pth")
    for name in ("evil.safetensors", "evil.pth"):
        with pytest.raises(BadInput, match="pickle"):
            load_model(tmp_path / name)
    assert not marker.exists()
