"""An estimate in words, and a job that leaves its speed for the next one."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ssl_muscle.jobs.expecting import UNKNOWN, expectation, span
from napari_ssl_muscle.jobs.run import run_job
from napari_ssl_muscle.jobs.settings import FinetuneJob
from napari_ssl_muscle.learning.estimate import Estimate, known_speeds


@pytest.mark.parametrize(
    ("shortest", "longest", "words"),
    [
        (20, 70, "20 to 70 s"),
        (25, 136, "25 s to 2 min"),
        (300, 1200, "5 to 20 min"),
        (354, 2609, "6 to 45 min"),
        (1900, 4000, "30 to 65 min"),
        (600, 9 * 3600, "10 min to 9 h"),
        (4 * 3600, 20.4 * 3600, "4 to 20 h"),
        (8 * 3600, 72 * 3600, "8 h to 3 days"),
        (130, 140, "2 min"),
    ],
)
def test_a_range_is_said_as_people_say_it(shortest: float, longest: float, words: str) -> None:
    assert span(shortest, longest) == words


def test_it_is_said_where_the_estimate_is_from() -> None:
    assert expectation(None) == UNKNOWN
    asked = expectation(Estimate(600, 608, "asked"))
    assert asked.startswith("Will take 10 min")
    known = expectation(Estimate(240, 240, "known", "CPU, 2 threads"))
    assert known == "About 4 min on this computer (CPU, 2 threads), if it is as fast as last time."
    alike = expectation(Estimate(300, 1200, "alike", "GPU, Fast"))
    assert alike.startswith("Roughly 5 to 20 min on this computer (GPU, Fast)")
    guess = expectation(Estimate(300, 1200, "guess"))
    assert guess == "Roughly 5 to 20 min on this CPU: nothing was trained here yet."


def test_a_job_leaves_its_speed_for_the_next_estimate(cohort: Path, tmp_path: Path) -> None:
    job = FinetuneJob(
        cohort=cohort, out=tmp_path / "run", width=4, depth=1, size=32, steps=20, threads=1
    )
    run_job(job)
    (speed,) = known_speeds()
    assert speed.device.endswith("1 thread")


def test_a_home_that_cannot_be_written_to_harms_nothing(
    cohort: Path, tmp_path: Path, own_speeds: Path
) -> None:
    own_speeds.parent.mkdir(exist_ok=True)
    own_speeds.mkdir()  # a folder where the file should be
    job = FinetuneJob(
        cohort=cohort, out=tmp_path / "run", width=4, depth=1, size=32, steps=20, threads=1
    )
    assert run_job(job)["model"]
