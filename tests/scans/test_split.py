"""Splits: nobody in two sets, the same draw everywhere, and files that cannot be bent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.scans.split import (
    Split,
    case_and_slice,
    check_no_leak,
    folds,
    read_split,
    slice_name,
    split_by_slice,
    split_by_subject,
    write_split,
)

subjects = st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=40, unique=True)
seeds = st.integers(0, 1000)


def sizes(split):
    return len(split.train), len(split.validation), len(split.test)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (3, (1, 1, 1)),
        (4, (2, 1, 1)),
        (5, (3, 1, 1)),
        (8, (6, 1, 1)),
        (12, (9, 2, 1)),
        (16, (12, 2, 2)),
        (25, (19, 3, 3)),
        (100, (75, 13, 12)),
    ],
)
def test_the_published_shares(count, expected):
    assert sizes(split_by_subject([f"s{i}" for i in range(count)])) == expected


@given(subjects, seeds)
def test_nobody_is_in_two_sets_and_nobody_is_lost(names, seed):
    split = split_by_subject(names, seed=seed)
    sets = [set(split.train), set(split.validation), set(split.test)]
    assert sum(map(len, sets)) == len(names)
    assert set.union(*sets) == set(names)
    assert all(sets)
    for share, part in zip(split.fractions, sets, strict=True):
        assert abs(len(part) - share * len(names)) <= 1.5


@given(subjects, seeds, st.randoms())
def test_the_order_of_the_subjects_does_not_matter(names, seed, random):
    shuffled = list(names)
    random.shuffle(shuffled)
    one, other = split_by_subject(names, seed=seed), split_by_subject(shuffled, seed=seed)
    assert one == other
    assert one.hash == other.hash


@given(subjects, seeds, st.data())
def test_moving_one_subject_changes_the_hash(names, seed, data):
    split = split_by_subject(names, seed=seed)
    moved = data.draw(st.sampled_from(split.test))
    other = Split(
        "subject",
        (*split.train, moved),
        split.validation,
        tuple(name for name in split.test if name != moved),
        split.seed,
        split.fractions,
    )
    assert other.hash != split.hash
    as_slices = Split("slice", split.train, split.validation, split.test, seed, split.fractions)
    assert as_slices.hash != split.hash


def test_the_hash_does_not_run_names_together():
    one = Split("subject", ("a", "b"), ("c",), (), 0, (0.7, 0.3, 0.0))
    assert one.hash != Split("subject", ("a,b",), ("c",), (), 0, (0.7, 0.3, 0.0)).hash
    assert one.hash != Split("subject", ("a",), ("b", "c"), (), 0, (0.7, 0.3, 0.0)).hash


def test_the_draw_is_the_same_in_every_version():
    split = split_by_subject([f"sub-{i:02d}" for i in range(1, 6)])
    assert split.train == ("sub-02", "sub-03", "sub-05")
    assert split.validation == ("sub-04",)
    assert split.test == ("sub-01",)
    assert split.hash == "acac5de63fc1"


def test_another_seed_draws_another_split():
    names = [f"s{i}" for i in range(20)]
    assert len({split_by_subject(names, seed=seed).hash for seed in range(20)}) == 20


def test_a_part_with_no_share_stays_empty():
    split = split_by_subject(["a", "b"], (0.5, 0.0, 0.5))
    assert sizes(split) == (1, 0, 1)


@pytest.mark.parametrize("names", [[], ["a"], ["a", "b"], ["a", "a", "b"]])
def test_too_few_subjects(names):
    with pytest.raises(BadInput, match=r"needs at least 3 subjects, and there (is|are)"):
        split_by_subject(names)


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5, 0.5), (0, 0.5, 0.5), (1.5, -0.5, 0), (float("nan"), 0.5, 0.5), (1.0,)]
)
def test_fractions_that_make_no_split(fractions):
    with pytest.raises(BadInput, match="add up to 1"):
        split_by_subject(["a", "b", "c"], fractions)


def test_likely_persons_stay_together():
    visits = [f"P{person}_{visit}" for person in range(6) for visit in ("post", "pre")]
    persons = [(f"P{person}_post", f"P{person}_pre") for person in range(6)]
    for seed in range(5):
        split = split_by_subject(visits, seed=seed, together=persons)
        assert sizes(split) == tuple(2 * n for n in sizes(split_by_subject("abcdef", seed=seed)))
        for part in (split.train, split.validation, split.test):
            assert {name[:2] for name in part if "pre" in name} == {n[:2] for n in part}
            assert len(part) == 2 * len({name[:2] for name in part})


@pytest.mark.parametrize(("told", "says"), [(True, False), (False, None), (None, None)])
def test_a_file_claims_no_leak_only_where_subjects_were_told(tmp_path, told, says):
    split = replace(split_by_subject(["a", "b", "c"]), subjects_told=told)
    write_split(tmp_path / "split.json", split)
    assert json.loads((tmp_path / "split.json").read_text())["leaking"] is says
    assert read_split(tmp_path / "split.json") == split


def test_slices_are_called_leaking():
    split = split_by_slice([f"s{case}:{z}" for case in range(2) for z in range(8)])
    assert split.leaking
    assert sizes(split) == (12, 2, 2)
    assert not split_by_subject(["a", "b", "c"]).leaking


def test_too_few_slices():
    with pytest.raises(BadInput, match="at least 3 slices"):
        split_by_slice(["a:1", "a:2"])


@given(st.integers(2, 6), subjects, seeds)
def test_folds_test_every_subject_once(k, names, seed):
    if len(names) < k:
        with pytest.raises(BadInput, match="use fewer folds"):
            folds(names, k, seed)
        return
    splits = folds(names, k, seed)
    assert len(splits) == k
    tested = [name for split in splits for name in split.test]
    assert sorted(tested) == sorted(names)
    for split in splits:
        members = [*split.train, *split.validation, *split.test]
        assert sorted(members) == sorted(names)
        assert split.train
        assert bool(split.validation) is (k > 2)


def test_one_fold_is_none():
    with pytest.raises(BadInput, match="at least 2 folds"):
        folds(["a", "b"], 1)


class TestFiles:
    split = split_by_subject(["sub-ä", "sub-b", "sub-c", "sub-d"], seed=3)

    def test_what_is_written_is_read_back(self, tmp_path):
        write_split(tmp_path / "new" / "split.json", self.split)
        assert read_split(tmp_path / "new" / "split.json") == self.split

    def test_a_changed_file_is_refused(self, tmp_path):
        path = tmp_path / "split.json"
        write_split(path, self.split)
        content = json.loads(path.read_text(encoding="utf-8"))
        content["train"].append(content["test"].pop())
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(BadInput, match=r"split\.json was changed after it was made"):
            read_split(path)

    def test_a_subject_in_two_sets_is_refused(self, tmp_path):
        path = tmp_path / "split.json"
        write_split(path, self.split)
        content = json.loads(path.read_text(encoding="utf-8"))
        content["train"].append(content["test"][0])
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(BadInput, match=r"split\.json: .* more than once"):
            read_split(path)

    @pytest.mark.parametrize(
        "text", ["", "hello", "[]", "{}", '{"unit": "voxel"}', '{"unit": "subject", "train": 3}']
    )
    def test_no_split(self, tmp_path, text):
        path = tmp_path / "split.json"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BadInput, match=r"split\.json is not a split file"):
            read_split(path)

    def test_missing(self, tmp_path):
        with pytest.raises(BadInput, match=r"split\.json cannot be read"):
            read_split(tmp_path / "split.json")


class TestLeak:
    cases = {"a_1": "a", "a_2": "a", "b_1": "b", "c_1": "c"}  # noqa: RUF012

    def split(self, train, validation, test, unit="subject"):
        return Split(unit, train, validation, test, 0, (0.5, 0.25, 0.25))

    def test_a_split_by_subject_is_fine(self):
        check_no_leak(self.split(("a",), ("b",), ("c",)), self.cases)

    def test_sessions_of_one_subject_in_two_sets(self):
        with pytest.raises(BadInput, match="leaks: a would be both in training and in"):
            check_no_leak(self.split(("a_1",), ("b_1",), ("a_2",)), self.cases)

    def test_between_validation_and_test(self):
        with pytest.raises(BadInput, match="leaks: a would be both in validation and in test"):
            check_no_leak(self.split(("b_1",), ("a_1",), ("a_2",)), self.cases)

    def test_slices_of_one_subject_in_two_sets(self):
        with pytest.raises(BadInput, match="leaks: a would"):
            check_no_leak(self.split(("a_1:3",), (), ("a_1:4",), unit="slice"), self.cases)

    def test_slices_of_different_subjects(self):
        check_no_leak(self.split(("a_1:3", "a_2:3"), (), ("b_1:3",), unit="slice"), self.cases)


@pytest.mark.parametrize("case", ["leg-01", "a:b"])
def test_the_name_of_a_slice_can_be_taken_apart(case):
    assert slice_name(case, 7) == f"{case}:7"
    assert case_and_slice(slice_name(case, 7)) == (case, "7")
