"""What the form "Fine-tune" offers to choose from, and what it proposes."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.folder_summary import FolderSummary
from napari_ssl_muscle.paths import runs_folder

SCRATCH = "Nothing"
ALL_CHANNELS = "all of them together"
SHORT = 0.5
"""Minutes for learning from corrections: what a person waits for before going on to correct."""
FREEZE = (
    ("Nothing", "none"),
    ("Encoder (first half)", "encoder"),
    ("Decoder (second half)", "decoder"),
    ("All but the last layer", "both"),
)
PRESETS = (
    ("Recommended", "recommended"),
    ("Quick, for a first try", "quick"),
    ("As published (needs a GPU)", "poster"),
)
SPLITS = (
    ("Chosen automatically", "auto"),
    ("Whole subjects", "subject"),
    ("A block of slices", "block"),
    ("Nothing: train on all", "none"),
    ("Single slices (leaks)", "slice"),
)


def channels_of(view: FolderSummary, chosen: str | None) -> list[str] | None:
    """Return the image channels that a job names for what was chosen; None for the only one."""
    if len(view.channels) < 2:
        return None
    return list(view.channels) if chosen == ALL_CHANNELS else [str(chosen)]


def new_run() -> Path:
    """Return a folder for a training on a cohort; it is not made."""
    stamp = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}"
    return runs_folder() / f"finetune-{stamp}"


def next_run(view: FolderSummary | None) -> Path:
    """Return a folder for the next training: inside the study, if it is one; it is not made."""
    from napari_ssl_muscle.study.study import Study

    if view is not None and view.is_study:
        with contextlib.suppress(BadInput):
            return Study.read(view.folder).next_run()
    return new_run()
