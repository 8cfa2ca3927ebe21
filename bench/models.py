"""The model that the benchmarks segment with."""

from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.learning.models.card import ModelCard, list_models
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.scans.muscles import default_table


def benchmark_model(folder: Path) -> tuple[str, str]:
    """Return a model (its file) and what to call it.

    That is the first shipped one; without any, an untrained network of the preset "recommended",
    which costs the same time.
    """
    for model in list_models():
        if model.card is not None and model.card.task == "segmentation":
            return str(model.path), model.card.name
    from napari_ssl_muscle.learning.models.model_file import save_model
    from napari_ssl_muscle.learning.network.unet import UNet

    recipe = preset("recommended")
    table = default_table("thigh")
    card = ModelCard(
        name="untrained",
        task="segmentation",
        network=recipe.network,
        slices=recipe.slices,
        in_channels=1,
        channels=["T1w"],
        muscles=table.to_rows(),
        recipe=recipe,
    )
    net = UNet.from_settings(recipe.network, 1, card.outputs)
    path = save_model(folder / "bench" / "untrained.safetensors", net.state_dict(), card)
    return str(path), "untrained, as the preset recommended"
