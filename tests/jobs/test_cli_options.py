"""The line that the window shows gives the job that the window runs."""

import os
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ssl_muscle.cli import main
from napari_ssl_muscle.jobs.cli_options import arguments, job_from, shell_command, split_names
from napari_ssl_muscle.jobs.cohort_jobs import SynthesiseJob
from napari_ssl_muscle.jobs.settings import (
    JOBS,
    AnyJob,
    CompareFreezingJob,
    CompareReconstructionsJob,
    EvaluateJob,
    ExperimentsJob,
    FinetuneJob,
    MeasureJob,
    PretrainJob,
    SegmentJob,
)
from napari_ssl_muscle.learning.settings import preset
from napari_ssl_muscle.synthesis.settings import CONTRASTS

# What a file system or a shell's argument can hold.
text = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1, max_size=12
)
names = text.map(str.strip).filter(bool)
paths = text.map(Path)
numbers = st.floats(1e-6, 0.9)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


several = maybe(st.lists(names, min_size=1, max_size=3))
finetune_jobs = st.builds(
    FinetuneJob,
    cohort=paths,
    out=paths,
    init=maybe(text),
    freeze=st.sampled_from(["none", "encoder", "decoder", "both"]),
    preset=st.sampled_from(["recommended", "quick", "poster"]),
    muscles=several,
    channels=several,
    train_on=several,
    accepted_empty=several,
    volume=maybe(st.integers(0, 9)),
    split=st.sampled_from(["auto", "subject", "slice", "block", "none"]),
    split_file=maybe(paths),
    split_seed=st.integers(0, 5),
    resume=st.booleans(),
    minutes=maybe(numbers),
    lr=maybe(numbers),
    momentum=maybe(numbers),
    optimizer=maybe(st.sampled_from(["adamw", "adam", "rmsprop"])),
    width=maybe(st.integers(4, 64)),
    spacing=maybe(st.just(0.0) | numbers),
    augment=maybe(st.booleans()),
    mixed_precision=maybe(st.booleans()),
)
freezing_jobs = st.builds(
    CompareFreezingJob,
    study=paths,
    out=paths,
    init=text,
    muscles=several,
    split=st.sampled_from(["auto", "subject", "slice", "block"]),
    split_file=maybe(paths),
    resume=st.booleans(),
    minutes=maybe(numbers),
    lr=maybe(numbers),
    seed=maybe(st.integers(0, 9)),
)
experiments_jobs = st.builds(
    ExperimentsJob,
    cohort=paths,
    out=paths,
    preset=st.sampled_from(["quick", "poster"]),
    experiment=maybe(st.lists(st.integers(0, 9), min_size=1, max_size=3)),
    seeds=maybe(st.integers(1, 5)),
    only=several,
    labelled=maybe(st.lists(st.integers(1, 9), min_size=1, max_size=3)),
    scans=maybe(st.lists(paths, min_size=1, max_size=2)),
    dry_run=st.booleans(),
    workers=maybe(st.integers(1, 9)),
    trust_network=st.booleans(),
    threads=st.integers(1, 4),
    width=maybe(st.integers(4, 64)),
)
pretrain_jobs = st.builds(
    PretrainJob,
    cohorts=st.lists(paths, min_size=1, max_size=3),
    out=paths,
    init=maybe(text),
    channels=several,
    volume=maybe(st.integers(0, 9)),
    leave_out=several,
    split_file=maybe(paths),
    transductive=st.booleans(),
    corruption=maybe(st.sampled_from(["squares", "swapped", "noise"])),
    mask_percent=maybe(st.floats(0.1, 100)),
    kernel_size=maybe(st.integers(1, 64)),
    exact=maybe(st.booleans()),
    inside_body=maybe(st.booleans()),
    mask_channel=maybe(st.booleans()),
    scored=maybe(st.sampled_from(["masked", "image"])),
    fill=maybe(st.just("darkest") | st.floats(-3, 3)),
    noise=maybe(numbers),
    steps=maybe(st.integers(1, 9)),
    width=maybe(st.integers(4, 64)),
)
compare_jobs = st.builds(
    CompareReconstructionsJob,
    first=text,
    second=text,
    cohort=paths,
    out=paths,
    slices=st.integers(1, 9),
    channels=several,
    volume=maybe(st.integers(0, 9)),
    mask_percent=maybe(st.floats(0.1, 100)),
    kernel_size=maybe(st.integers(1, 64)),
    exact=maybe(st.booleans()),
    inside_body=maybe(st.booleans()),
    seed=st.integers(0, 9),
    threads=maybe(st.integers(1, 4)),
    overwrite=st.booleans(),
)
segment_jobs = st.builds(
    SegmentJob,
    scans=st.lists(paths, min_size=1, max_size=3),
    model=text,
    out=paths,
    volume=maybe(st.integers(0, 9)),
    channel=maybe(names),
    device=st.sampled_from(["auto", "cpu", "cuda"]),
    threads=maybe(st.integers(1, 4)),
    overwrite=st.booleans(),
)
evaluate_jobs = st.builds(
    EvaluateJob,
    predictions=paths,
    references=paths,
    out=paths,
    table=maybe(paths),
    prediction_table=maybe(paths),
    by_side=st.booleans(),
    all_slices=st.booleans(),
    overwrite=st.booleans(),
)
measure_jobs = st.builds(
    MeasureJob,
    labels=st.lists(paths, min_size=1, max_size=3),
    out=paths,
    table=maybe(paths),
    overwrite=st.booleans(),
)
synthesise_jobs = st.builds(
    SynthesiseJob,
    maps=st.lists(paths, min_size=1, max_size=3),
    out=paths,
    images=st.integers(1, 1000),
    contrast=maybe(st.lists(st.sampled_from(CONTRASTS), min_size=1, max_size=3)),
    legs=st.sampled_from(["any", "two", "one"]),
    table=maybe(paths),
    exclude_twins_of=maybe(st.lists(paths, min_size=1, max_size=2)),
    twin_dice=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)


def parsed(words: list[str]) -> AnyJob:
    """Return the job that the shell command makes of its words."""
    command = main.commands[words[0]]
    given_options = command.make_context(words[0], words[1:]).params
    del given_options["events"]
    kind = {k.model_fields["action"].default: k for k in JOBS}
    job: AnyJob = job_from(kind[words[0]], given_options)
    return job


@settings(max_examples=200, deadline=None)
@given(
    pretrain_jobs
    | compare_jobs
    | finetune_jobs
    | freezing_jobs
    | experiments_jobs
    | segment_jobs
    | evaluate_jobs
    | measure_jobs
    | synthesise_jobs
)
def test_the_line_gives_the_job(job: AnyJob) -> None:
    assert parsed(arguments(job)) == job
    if os.name != "nt":
        assert shlex.split(shell_command(job)) == ["ssl-muscle", *arguments(job)]


def test_the_line_names_only_what_differs_from_the_defaults() -> None:
    job = FinetuneJob(
        cohort=Path("my scans"), out=Path("run"), freeze="encoder", muscles=["VL", "a,b"]
    )
    assert arguments(job) == [
        *("finetune", "--out", "run", "--freeze", "encoder"),
        *("--muscles", "VL", "--muscles", '"a,b"', "my scans"),
    ]


def test_names_may_be_separated_by_commas() -> None:
    assert split_names('vastus lateralis, VM,"a, b"') == ["vastus lateralis", "VM", "a, b"]


def test_help_shows_words_defaults_and_choices() -> None:
    command = main.commands["finetune"]
    shown = command.get_help(click.Context(command, info_name="finetune", terminal_width=200))
    assert "Part of the network that does not learn. [default: none]" in shown
    assert "--freeze [none|encoder|decoder|both]" in shown
    width = preset("recommended").network.width
    assert f"Channels of the first level. [default: {width}; poster: 64;" in shown
    assert "the preset's" not in shown


def test_help_has_every_command_with_its_whole_description() -> None:
    shown = main.get_help(click.Context(main, info_name="ssl-muscle", terminal_width=80))
    assert "..." not in shown.replace("COMMAND [ARGS]...", "")
    joined = " ".join(shown.split())
    for name, command in main.commands.items():
        words = " ".join((command.help or "").partition("\n\n")[0].split())
        assert f"{name} {words}" in joined.replace("- ", "-")
    assert "_SSL_MUSCLE_COMPLETE" in joined


@pytest.mark.parametrize("flag", ["--augment", "--no-augment"])
def test_a_flag_that_overrides_the_preset_has_three_states(flag: str) -> None:
    words = ["finetune", "c", "--out", "o"]
    left_out, said = parsed(words), parsed([*words, flag])
    assert isinstance(left_out, FinetuneJob)
    assert isinstance(said, FinetuneJob)
    assert left_out.augment is None
    assert said.augment is (flag == "--augment")
