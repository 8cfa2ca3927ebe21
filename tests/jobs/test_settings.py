import pytest
from pydantic import ValidationError

from napari_ssl_muscle.jobs.cli_options import main_fields, overrides
from napari_ssl_muscle.jobs.job_file import what_is_wrong
from napari_ssl_muscle.jobs.recipe import recipe_of
from napari_ssl_muscle.jobs.settings import (
    JOBS,
    FinetuneJob,
)
from napari_ssl_muscle.learning.settings import (
    PRESETS,
    AugmentSettings,
    NetworkSettings,
    Recipe,
    Settings,
    SliceSettings,
    TrainingSettings,
)


def finetune(**settings: object) -> FinetuneJob:
    return FinetuneJob.model_validate({"cohort": "scans", "out": "run", **settings})


@pytest.mark.parametrize("name", PRESETS)
def test_without_overrides_a_job_trains_with_its_preset(name: str) -> None:
    assert recipe_of(finetune(preset=name)) == PRESETS[name]


def test_every_setting_of_the_recipe_can_be_overridden() -> None:
    for section in ("network", "slices", "training"):
        settings = getattr(Recipe(), section)
        assert set(type(settings).model_fields) <= set(overrides(FinetuneJob))


@pytest.mark.parametrize("section", [TrainingSettings, NetworkSettings, SliceSettings])
def test_an_override_is_declared_by_its_setting(section: type[Settings]) -> None:
    for name, setting in section.model_fields.items():
        field = FinetuneJob.model_fields[name]
        assert field.annotation == setting.annotation | None  # type: ignore[operator]
        assert (field.description or "").startswith(setting.description or "nothing")
        assert field.default is None


def test_overrides_reach_the_recipe() -> None:
    recipe = recipe_of(finetune(preset="quick", width=12, crop="body", lr=0.5, optimizer="adam"))
    assert recipe.network.width == 12
    assert recipe.slices.crop == "body"
    assert (recipe.training.lr, recipe.training.optimizer) == (0.5, "adam")
    assert recipe.training.batch == PRESETS["quick"].training.batch


@pytest.mark.parametrize("length", ["epochs", "steps", "minutes"])
def test_a_length_replaces_the_presets_own(length: str) -> None:
    training = recipe_of(finetune(preset="quick", **{length: 3})).training
    given = {name: getattr(training, name) for name in ("epochs", "steps", "minutes")}
    assert given.pop(length) == 3
    assert set(given.values()) == {None}


def test_zero_means_none_where_the_recipe_knows_none() -> None:
    recipe = recipe_of(finetune(spacing=0, size=0, clip=0, patience=0, margin=0))
    assert (recipe.slices.spacing, recipe.slices.size) == (None, None)
    assert (recipe.training.clip, recipe.training.patience) == (None, None)
    assert recipe.slices.margin == 0


def test_augmentation_can_be_switched_off_and_on() -> None:
    assert recipe_of(finetune(augment=False)).augment == AugmentSettings.off()
    assert recipe_of(finetune(preset="poster", augment=True)).augment == AugmentSettings()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -1}, "--lr: Input should be greater than 0 (it is -1)"),
        ({"width": 1}, "--width: Input should be greater than or equal to 4 (it is 1)"),
        ({"validate_every": 0}, "--validate-every: Input should be greater than or equal to 1"),
        ({"steps": 5, "minutes": 1}, "steps and minutes both say how long to train"),
        ({"lr": float("inf")}, "--lr: Input should be a finite number"),
        ({"muscles": []}, "--muscles: List should have at least 1 item"),
    ],
)
def test_a_value_that_the_recipe_refuses_is_refused_with_its_option(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        finetune(**settings)
    assert what_is_wrong(caught.value, as_option=True).startswith(words)


def test_every_field_has_words_for_help_and_tooltip() -> None:
    for kind in JOBS:
        for name in main_fields(kind) + overrides(kind):
            assert kind.model_fields[name].description, f"{kind.__name__}.{name}"


def test_no_field_is_left_out_of_the_form() -> None:
    for kind in JOBS:
        assert sorted([*main_fields(kind), *overrides(kind), "action"]) == sorted(kind.model_fields)
