"""A toy cohort, and the smallest trainings that an experiment can have."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.experiments.published.files import TRIALS
from napari_ssl_muscle.jobs.settings import ExperimentsJob
from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings

TOY: dict[str, Any] = {
    "steps": 2,
    "width": 4,
    "depth": 2,
    "size": 48,
    "spacing": 5.0,
    "only": ["lr=0.006", "mask_percent=10"],
    "labelled": [1],
    "workers": 1,
}
"""One cell for an experiment, but two freeze modes."""


def toy_job(cohort: Path, out: Path, **settings: Any) -> ExperimentsJob:
    return ExperimentsJob.model_validate({"cohort": cohort, "out": out, **TOY, **settings})


@pytest.fixture(scope="session")
def toy_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects, eight labelled slices each."""
    folder = tmp_path_factory.mktemp("toy") / "cohort"
    write_phantom(folder, PhantomSettings(subjects=2, sessions=1, slices=8, size=64), None)
    return folder


@pytest.fixture(scope="session")
def finished(toy_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of experiments 0 to 4, run in one go; not to be changed."""
    out = tmp_path_factory.mktemp("toy") / "finished"
    run_job(toy_job(toy_cohort, out))
    return out


@pytest.fixture
def table() -> Callable[[Path], list[dict[str, str]]]:
    """Return a function that reads trials.csv without the time that trainings took."""

    def read(out: Path) -> list[dict[str, str]]:
        with (out / TRIALS).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    return read
