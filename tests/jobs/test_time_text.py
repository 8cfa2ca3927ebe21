"""An estimate in words, and a job that leaves its speed for the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.jobs.settings import FinetuneJob, PretrainJob
from napari_ssl_muscle.jobs.time_text import UNKNOWN, expectation, expected_time, span
from napari_ssl_muscle.learning.events import Speed
from napari_ssl_muscle.learning.models.card import ModelCard
from napari_ssl_muscle.learning.network.flops import flops_of
from napari_ssl_muscle.learning.settings import NetworkSettings, preset
from napari_ssl_muscle.learning.training.time_estimate import Estimate, known_speeds, remember
from napari_ssl_muscle.scans.muscles import default_table


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


def test_of_a_job_everything_that_costs_time_is_taken_into_account(tmp_path: Path) -> None:
    job = FinetuneJob(cohort=tmp_path, out=tmp_path / "run")
    recipe = preset("recommended")
    work = flops_of(recipe.network, 112, 112).training()
    remember(Speed(device="CPU, 2 threads", gflop=work, seconds=0.01))

    def time_of(card: ModelCard | None = None, slices: int | None = None, **asked: Any) -> str:
        changed = type(job).model_validate({**job.model_dump(), **asked})
        return expected_time(changed, card, only_cpu=True, slices=slices)

    assert time_of().startswith("About 2 min")  # 1500 steps of 8 images
    assert time_of(steps=150).startswith("About 20 s")
    assert time_of(minutes=7).startswith("Will take 7 min")
    assert time_of(width=32) != time_of()
    assert time_of(freeze="encoder", steps=150) != time_of(steps=150)
    # 100 slices of two legs, three quarters of them train: 19 steps in each of 50 epochs.
    assert time_of(epochs=50, slices=100).startswith("About 84 s")
    assert time_of(epochs=50) == UNKNOWN
    network = NetworkSettings(width=8, depth=2)
    card = ModelCard(
        name="small",
        task="segmentation",
        network=network,
        slices=recipe.slices,
        in_channels=1,
        channels=["image"],
        muscles=default_table("thigh").to_rows(),
    )
    assert time_of(card) != time_of()
    assert time_of(card, width=16) == ""  # refused, and said when it is asked for


def test_a_pretraining_has_an_input_for_the_mask(tmp_path: Path) -> None:
    job = PretrainJob(cohorts=[tmp_path], out=tmp_path / "run", steps=100)
    work = flops_of(preset("recommended").network, 112, 112, channels=2, classes=1).training()
    remember(Speed(device="CPU, 2 threads", gflop=work, seconds=0.1))
    assert expected_time(job, None, only_cpu=True).startswith("About 88 s")


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
