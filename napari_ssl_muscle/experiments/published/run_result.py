"""What a finished run says of itself, kept in its folder; the checkpoint is not needed any more."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from napari_ssl_muscle.experiments.freeze_results import read_progress
from napari_ssl_muscle.experiments.published.files import RESULT
from napari_ssl_muscle.experiments.published.trial import Trial
from napari_ssl_muscle.files import write_json
from napari_ssl_muscle.jobs.run_folder import CHECKPOINT, EVENTS, MODEL
from napari_ssl_muscle.learning.events import Finished, Started, from_line
from napari_ssl_muscle.learning.models.card import read_card


def keep_result(run: Path, trial: Trial) -> None:
    """Write `trial.json` and delete the checkpoint, which is several times as large as the model.

    Does nothing where that has been done.
    """
    if not (run / RESULT).is_file():
        write_json(run / RESULT, _about_run(run, trial))
    (run / CHECKPOINT).unlink(missing_ok=True)


def _about_run(run: Path, trial: Trial) -> dict[str, Any]:
    card, state = read_card(run / MODEL), read_progress(run)
    device, errors = _device_and_errors(run)
    learning = _learning(json.dumps(card.network.model_dump()), card.in_channels, card.outputs)
    best = state["best_step"]
    return {
        "steps": state["step"],
        "best_step": best if best >= 0 else None,
        "seconds": round(float(state["seconds"]), 1),
        "device": device,
        "threads": trial.settings.get("threads"),
        "parameters": learning["none"],
        "trainable": learning[trial.settings.get("freeze", "none")],
        "masked_error": errors.get("masked_error"),
        "image_error": errors.get("image_error"),
        "constant_error": errors.get("constant_error"),
    }


@cache
def _learning(network: str, inputs: int, outputs: int) -> dict[str, int]:
    from napari_ssl_muscle.learning.network.transfer import learning_by_mode
    from napari_ssl_muscle.learning.settings import NetworkSettings

    found = learning_by_mode(NetworkSettings.model_validate_json(network), inputs, outputs)
    return {str(mode): count for mode, count in found.items()}


def _device_and_errors(run: Path) -> tuple[str, dict[str, float]]:
    """Return what a run trained on, and the errors that a pretraining ended with, from its log."""
    device, errors = "", {}
    for line in (run / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = from_line(line)
        except ValueError:  # a line that was cut short
            continue
        if isinstance(event, Started):
            device = event.device
        elif isinstance(event, Finished):
            errors = event.result.get("metrics", {})
    return device, errors
