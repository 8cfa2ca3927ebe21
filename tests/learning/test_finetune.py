"""Fine-tuning from end to end on small phantoms: it learns, keeps apart, hands over, freezes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.learning.data.case import TrainingCase
from napari_ssl_muscle.learning.data.image_cache import read_channels
from napari_ssl_muscle.learning.events import (
    Emit,
    EpochEnd,
    Event,
    Note,
    StoppedByUser,
    ignore_event,
    never_stop,
)
from napari_ssl_muscle.learning.finetune import finetune
from napari_ssl_muscle.learning.models.card import read_card
from napari_ssl_muscle.learning.models.model_file import load_model
from napari_ssl_muscle.learning.predict import segment_volume
from napari_ssl_muscle.learning.pretrain import pretrain
from napari_ssl_muscle.learning.settings import Recipe
from napari_ssl_muscle.learning.training.session import RunOptions, TrainedModel
from napari_ssl_muscle.scans.body_mask import body_mask
from napari_ssl_muscle.scans.muscles import MuscleTable
from napari_ssl_muscle.scans.split import split_by_subject


def learn(
    cases: Sequence[TrainingCase],
    table: MuscleTable,
    recipe: Recipe,
    out: Path,
    *,
    emit: Emit = ignore_event,
    init: str | None = None,
    **more: Any,
) -> TrainedModel:
    out.mkdir(exist_ok=True)
    return finetune(cases, table, recipe, RunOptions(out, emit, never_stop, init), **more)


def test_it_segments_a_subject_that_it_never_saw(
    trained: Path, cases: list[TrainingCase], table: MuscleTable
) -> None:
    model = load_model(trained)
    case = cases[2]
    result = segment_volume(model, read_channels(case), case.scans[0].geometry.spacing)
    assert case.labels is not None
    truth = case.labels.read()
    assert result.labels.shape == truth.shape
    inside = slice(1, -1)  # slices without labels are no background
    both = ((result.labels == truth) & (truth > 0))[inside].sum()
    dice = 2 * both / ((result.labels > 0)[inside].sum() + (truth > 0)[inside].sum())
    assert dice > 0.5  # it cannot tell muscles apart by chance: that would be under 0.1
    assert result.confidence.shape == (len(truth),)


def test_segmenting_twice_gives_the_same(trained: Path, cases: list[TrainingCase]) -> None:
    channels = read_channels(cases[0])
    spacing = cases[0].scans[0].geometry.spacing
    first, second = (
        segment_volume(load_model(trained), channels, spacing, thread_count=1).labels
        for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_stop_while_segmenting(trained: Path, cases: list[TrainingCase]) -> None:
    with pytest.raises(StoppedByUser):
        segment_volume(
            load_model(trained),
            read_channels(cases[0]),
            cases[0].scans[0].geometry.spacing,
            stop=lambda: True,
        )


def test_wrong_number_of_channels_is_said(trained: Path, cases: list[TrainingCase]) -> None:
    channels = np.concatenate([read_channels(cases[0])] * 2)
    with pytest.raises(BadInput, match=r"expects 1 channel\(s\).*has 2"):
        segment_volume(load_model(trained), channels, cases[0].scans[0].geometry.spacing)


def test_the_card_tells_what_was_done(trained: Path, table: MuscleTable) -> None:
    card = read_card(trained)
    assert card.training_subjects == ["subject-1", "subject-2"]
    assert card.table.same_muscles(table)
    assert "same subject(s)" in card.dice_note
    assert 0 < card.dice["mean"] <= 1
    assert set(card.dice) <= {"mean", *table.names}


def test_other_contrast_is_warned_about(trained: Path, cases: list[TrainingCase]) -> None:
    channels = read_channels(cases[0])
    spacing = cases[0].scans[0].geometry.spacing
    model = load_model(trained)
    assert segment_volume(model, channels, spacing).notes == []
    # Dark fat around bright muscle, as in a water image: the phantoms learned from are T1-like.
    body = body_mask(channels[0])
    top = np.quantile(channels[0][body], 0.99)
    inverted = np.where(body, np.maximum(1.2 * top - channels, 0.2 * top), channels)
    assert any("contrast" in n for n in segment_volume(model, inverted, spacing).unlike)
    coarse = (spacing[0], 7.0, 7.0)
    assert any("coarser" in n for n in segment_volume(model, channels, coarse).unlike)


def test_test_subjects_take_no_part(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    split = split_by_subject([case.subject for case in cases], seed=0)
    read: list[str] = []
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if event.kind == "progress" and event.text:
            read.append(event.text)

    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 4})})
    result = learn(cases, table, short, tmp_path / "run", split=split, emit=emit)
    for subject in split.test:
        assert not any(subject.replace("subject", "case") in text for text in read)
    card = read_card(result.model)
    assert set(card.training_subjects) == {*split.train, *split.validation}
    assert card.split_hash == split.hash


def test_few_labelled_slices_train_without_validation(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    few = replace(cases[0], held_out=frozenset(range(4, 12)))
    result = learn([few], table, tiny, tmp_path / "run")
    assert result.metrics == {}
    assert any("Fewer than 8 labelled slices" in note for note in result.notes)


def test_each_validation_reports_the_loss_and_only_dice_is_on_the_card(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    events: list[Event] = []
    trained = learn(cases[:2], table, tiny, tmp_path / "run", emit=events.append)
    losses = [e.metrics["validation_loss"] for e in events if isinstance(e, EpochEnd)]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    names = {"mean", *(muscle.name for muscle in table.muscles)}
    assert set(trained.metrics) == set(read_card(trained.model).dice) <= names


@pytest.mark.parametrize("frozen", ["encoder", "decoder", "both", "none"])
def test_frozen_parts_keep_every_bit(
    frozen: str,
    trained: Path,
    cases: list[TrainingCase],
    table: MuscleTable,
    tiny: Recipe,
    tmp_path: Path,
) -> None:
    short = tiny.model_copy(
        update={"training": tiny.training.model_copy(update={"steps": 3, "average": 0.9})}
    )
    result = learn(cases[:1], table, short, tmp_path / "run", init=str(trained), freeze_mode=frozen)
    before = safetensors.torch.load_file(trained)
    after = safetensors.torch.load_file(result.model)
    still = {"both": ("encoder", "decoder"), "none": ()}.get(frozen, (frozen,))
    for name, value in before.items():
        same = bool((value == after[name]).all())
        assert same == name.startswith(still or "nothing"), name


def test_the_head_is_made_anew_for_other_muscles(
    trained: Path, cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 2})})
    events: list[Event] = []
    fewer = table.select(["sartorius", "gracilis"])
    result = learn(cases[:1], fewer, short, tmp_path / "run", init=str(trained), emit=events.append)
    said = " ".join(event.text for event in events if isinstance(event, Note))
    assert "head is made anew" in said
    assert "vastus lateralis" in said
    model = load_model(result.model)
    labels = segment_volume(
        model, read_channels(cases[0]), cases[0].scans[0].geometry.spacing
    ).labels
    assert set(np.unique(labels)) <= {0, *fewer.values}


def test_another_network_is_refused_by_name(
    trained: Path, cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    wider = tiny.model_copy(update={"network": tiny.network.model_copy(update={"width": 8})})
    with pytest.raises(BadInput, match="width 6 instead of 8"):
        learn(cases[:1], table, wider, tmp_path / "run", init=str(trained))


def test_nothing_labelled_is_said(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    held = replace(cases[0], held_out=frozenset(range(12)))
    with pytest.raises(BadInput, match="No slice carries a label"):
        learn([held], table, tiny, tmp_path / "run")
    assert not (tmp_path / "run" / "cache").exists()


def test_more_images_than_memory_train_the_same(
    cases: list[TrainingCase],
    table: MuscleTable,
    tiny: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 5})})
    inside = learn(cases[:1], table, short, tmp_path / "memory")
    monkeypatch.setattr(
        "napari_ssl_muscle.learning.data.image_cache.ImageStore.__init__.__kwdefaults__",
        {
            "with_bodies": False,
            "memory": 0,
        },
    )
    outside = learn(cases[:1], table, short, tmp_path / "disk")
    first = safetensors.torch.load_file(inside.model)
    second = safetensors.torch.load_file(outside.model)
    assert all((first[name] == second[name]).all() for name in first)
    assert not (tmp_path / "disk" / "cache").exists()


def test_pretrained_weights_are_handed_over(
    cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    pretext = tiny.pretext.model_copy(update={"kernel_size": 8, "mask_percent": 40.0})
    recipe = tiny.model_copy(update={"pretext": pretext})
    (tmp_path / "pretext").mkdir()
    before = pretrain(cases, recipe, RunOptions(tmp_path / "pretext", ignore_event, never_stop))
    assert before.metrics["masked_error"] < before.metrics["constant_error"]
    assert (tmp_path / "pretext" / "probes.png").is_file()
    card = read_card(before.model)
    assert card.task == "inpainting"
    assert card.mask_channel
    with pytest.raises(BadInput, match="knows no muscles"):
        segment_volume(
            load_model(before.model), read_channels(cases[0]), cases[0].scans[0].geometry.spacing
        )
    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 2})})
    after = learn(
        cases[:1],
        table,
        short,
        tmp_path / "run",
        init=str(tmp_path / "pretext"),
        freeze_mode="encoder",
    )
    source = safetensors.torch.load_file(before.model)
    kept = safetensors.torch.load_file(after.model)
    assert (source["encoder.1.conv1.weight"] == kept["encoder.1.conv1.weight"]).all()
    assert (source["encoder.0.conv1.weight"][:, :1] == kept["encoder.0.conv1.weight"]).all()


def test_who_the_model_to_start_from_was_trained_on_is_not_forgotten(
    trained: Path, cases: list[TrainingCase], table: MuscleTable, tiny: Recipe, tmp_path: Path
) -> None:
    before = read_card(trained)
    unknown = replace(cases[0], name="new", subject="new")
    short = tiny.model_copy(update={"training": tiny.training.model_copy(update={"steps": 1})})
    result = learn([unknown], table, short, tmp_path / "run", init=str(trained))
    card = read_card(result.model)
    assert card.training_subjects == sorted({*before.training_subjects, "new"})
    assert card.training_data[1:] == before.training_data
