"""The last state of a training on disk, from which it goes on as if it had never stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.models.card import CHECKPOINT_FILE
from napari_ssl_muscle.learning.models.model_file import write_tensors
from napari_ssl_muscle.learning.training.optimizer import MovingAverage, flatten, restore

"""The checkpoint's file name in a run folder."""


@dataclass
class TrainingState:
    """How far a training is. Everything random is derived from (seed, step), so this is all."""

    step: int = 0
    total: int = 0
    best_step: int = -1
    best: float | None = None
    since_best: int = 0
    seconds: float = 0.0
    images: int = 0
    best_metrics: dict[str, float] = field(default_factory=dict)
    smaller: list[list[int]] = field(default_factory=list)
    """``[step, batch]`` each time that memory did not suffice: from that step on, that batch."""

    def batch(self, asked: int) -> int:
        """Return how many images a step takes now, if the settings ask for `asked`."""
        return self.smaller[-1][1] if self.smaller else asked

    def describe_memory(self, asked: int) -> list[str]:
        """Describe for the model's card which batches were really used; nothing if as asked for."""
        if not self.smaller:
            return []
        last = {step: batch for step, batch in self.smaller}  # noqa: C416 - typed, unlike dict()
        used = ", ".join(
            f"{batch} from {f'step {step + 1}' if step else 'the start'}"
            for step, batch in last.items()
        )
        return [f"Images in a step: {used} instead of {asked}, for lack of memory."]


def save_checkpoint(
    run: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
    state: TrainingState,
) -> Path:
    """Write weights, optimiser and state, whole or not at all; return the file."""
    tensors: dict[str, Tensor] = {}
    for name, value in net.state_dict().items():
        tensors[f"net/{name}"] = value
    for name, value in flatten(optimizer).items():
        tensors[f"optimizer/{name}"] = value
    if average is not None:
        for name, value in average.state.items():
            tensors[f"average/{name}"] = value
        tensors["average_updates"] = torch.tensor(average.updates)
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"place": json.dumps(asdict(state))}
    path = run / CHECKPOINT_FILE
    write_tensors(path, tensors, metadata)
    return path


def load_checkpoint(
    run: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
) -> TrainingState:
    """Restore everything as `save_checkpoint` found it; return the state.

    Raises
    ------
    BadInput
        If there is no checkpoint, it is broken, or it belongs to another network.
    """
    path = run / CHECKPOINT_FILE
    if not path.is_file():
        raise BadInput(f"{run} holds no checkpoint to continue from; start a new run instead.")
    try:
        with safe_open(path, framework="pt") as file:
            state = TrainingState(**json.loads(file.metadata()["place"]))
        tensors = safetensors.torch.load_file(path)
        groups: dict[str, dict[str, Tensor]] = {"net": {}, "optimizer": {}, "average": {}}
        for name, value in tensors.items():
            group, _, rest = name.partition("/")
            if rest:
                groups[group][rest] = value
        net.load_state_dict(groups["net"])
        restore(optimizer, groups["optimizer"])
        if average is not None:
            for name, value in average.state.items():
                value.copy_(groups["average"][name])
            average.updates = int(tensors["average_updates"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"{path} does not fit this training; continue it with the settings of its job.json, "
            "or start a new run."
        ) from error
    return state
