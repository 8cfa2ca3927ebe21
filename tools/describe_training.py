"""Note on a model's card what its training scans look like and what it makes of them.

    python tools/describe_training.py MODEL SCAN...

For models that were trained before cards said so; the weights stay, bit for bit. The scans are
those that the model learned from.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.scan_traits import traits_of
from napari_ssl_muscle.learning.describe_predictions import describe_predictions
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.models.model_file import replace_card
from napari_ssl_muscle.learning.settings import TrainingSettings
from napari_ssl_muscle.scans.volume import open_scan


def main() -> None:
    """Read the arguments and write the model's file anew."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a model file")
    parser.add_argument("scans", type=Path, nargs="+", help="its training scans")
    given = parser.parse_args()
    cases = [TrainingCase(path.name, path.name, (open_scan(path),)) for path in given.scans]
    card = read_card(given.model)
    replace_card(given.model, card.model_copy(update={"scan_traits": traits_of(cases)}))
    describe_predictions(given.model, cases, TrainingSettings(), seconds=math.inf)
    card = read_card(given.model)
    print(*card.scan_traits, *card.prediction_traits, sep="\n")


if __name__ == "__main__":
    main()
