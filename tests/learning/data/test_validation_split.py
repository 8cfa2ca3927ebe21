"""Which images of a pretraining train, and which only validate."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import pytest

from napari_ssl_muscle.learning.data.image_cache import Item
from napari_ssl_muscle.learning.data.validation_split import by_subject


def shelf(
    subjects: Sequence[str], slices: int = 5, sizes: Mapping[str, int] | None = None
) -> SimpleNamespace:
    """A store that knows only whose series are whose, and how large their images are."""
    sides = {subject: (sizes or {}).get(subject, 80) for subject in subjects}
    series = [
        SimpleNamespace(
            subject=subject,
            frame=SimpleNamespace(window=(sides[subject], sides[subject])),
            spacing=(5.0, 1.0, 1.0),
        )
        for subject in subjects
    ]

    def items(indices: Sequence[int], *, labelled: bool) -> list[Item]:
        assert not labelled
        return [Item(index, z) for index in indices for z in range(slices)]

    return SimpleNamespace(series=series, items=items)


@pytest.mark.parametrize("people", [3, 8, 20])
def test_a_subject_never_trains_and_validates(people: int) -> None:
    # Fat and water image of everybody, on both legs.
    subjects = [f"s{number:02d}" for number in range(people)] * 4
    chosen = by_subject(shelf(subjects))  # type: ignore[arg-type]
    apart = {subjects[item.series] for item in chosen.validation}
    assert len(apart) == max(1, round(people / 8))
    assert apart.isdisjoint(subjects[item.series] for item in chosen.training)
    assert len(chosen.training) + len(chosen.validation) == 5 * len(subjects)
    assert all(subject in chosen.text for subject in apart)


def test_of_two_subjects_every_eighth_slice_validates() -> None:
    chosen = by_subject(shelf(["a", "b"], slices=16))  # type: ignore[arg-type]
    assert {item.z for item in chosen.validation} == {4, 12}
    assert {4, 12}.isdisjoint(item.z for item in chosen.training)
    assert "same scans" in chosen.text


def test_slices_that_are_held_out_take_no_part() -> None:
    unseen = {Item(0, 1), Item(1, 3)}
    chosen = by_subject(shelf(["a", "b", "c"]), unseen)  # type: ignore[arg-type]
    assert unseen.isdisjoint([*chosen.training, *chosen.validation])
    assert len(chosen.training) + len(chosen.validation) == 13


@pytest.mark.parametrize("odd", ["a", "b", "c", "d", "e"])
@pytest.mark.parametrize("side", [30, 300])
def test_a_foot_among_thighs_does_not_validate(odd: str, side: int) -> None:
    chosen = by_subject(shelf("abcde", sizes={odd: side}))  # type: ignore[arg-type]
    apart = {"abcde"[item.series] for item in chosen.validation}
    assert len(apart) == 1
    assert odd not in apart
