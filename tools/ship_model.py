"""Turn a run's model into a shipped model: name, sources of the data, weights in half precision.

    python tools/ship_model.py RUN NAME --title TITLE --sources SOURCES.json --cohort COHORT
        [--note TEXT ...] [--out FOLDER]

SOURCES.json is a list of training-data entries as on a model card (name, source, licence,
subjects, slices, labels).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from napari_ssl_muscle.learning.models.card import TrainingSource
from napari_ssl_muscle.learning.models.model_file import load_model, save_model


def main() -> None:
    """Read the arguments and write NAME.safetensors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run's folder or a model file")
    parser.add_argument("name", help="the shipped model's name")
    parser.add_argument("--title", required=True)
    parser.add_argument("--contrast", default="")
    parser.add_argument("--sources", type=Path, required=True)
    parser.add_argument("--note", action="append", default=[])
    parser.add_argument("--no-dice", action="store_true", help="drop figures that are not held out")
    parser.add_argument("--dice-note", default="")
    parser.add_argument("--cohort", required=True, help="goes before the training subjects' names")
    parser.add_argument("--out", type=Path, default=Path("resources/models"))
    given = parser.parse_args()
    model = load_model(given.run)
    sources = json.loads(given.sources.read_text(encoding="utf-8"))
    update = {
        "name": given.name,
        "title": given.title,
        "training_data": [TrainingSource.model_validate(entry) for entry in sources],
        "notes": given.note,
        # Names such as sub-01 are everybody's: without the cohort's name before them the program
        # would take a user's subject for one that trained.
        "training_subjects": [f"{given.cohort} {name}" for name in model.card.training_subjects],
    }
    if given.contrast:
        update["contrast"] = given.contrast
    if given.dice_note:
        update["dice_note"] = given.dice_note
    if given.no_dice:
        update["dice"] = {}
    card = type(model.card).model_validate({**model.card.model_dump(), **update})
    path = given.out / f"{given.name}.safetensors"
    save_model(path, model.net.state_dict(), card, half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
