"""Which subjects are trained on, which select the model, and which only test it.

A split is made once, written to a file with its hash, and never made anew: the hash travels with
every model that was trained on it.

The rule of sharing out: each part gets its fraction of the subjects, rounded down; what is left
over goes, one each, to the parts with the largest remainders (ties in the order training,
validation, test); a part that should have some but has none then takes one from the largest part.
Five subjects at 75, 12.5 and 12.5 % are 3.75, 0.625 and 0.625: rounded down 3, 0 and 0, the two
left over go to training (0.75) and validation (0.625), and test takes one back from training,
which gives 3, 1 and 1.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.files import write_json

Unit = Literal["subject", "slice"]
Fractions = tuple[float, float, float]

# The study's shares of training, validation and test.
PUBLISHED: Fractions = (0.75, 0.125, 0.125)


@dataclass(frozen=True)
class Split:
    """Three sets without a common member.

    Parameters
    ----------
    unit
        What the members are: names of subjects, or slices as `"case:z"`.
    train, validation, test
        The members, sorted.
    seed
        What the drawing started from.
    fractions
        The shares that were asked for.
    subjects_told
        Whether it was told whose scans the members are (BIDS names, `subjects.tsv`); False if
        that was only read from file names, None if it is not known.

    Raises
    ------
    BadInput
        If a member is in two sets or twice in one.
    """

    unit: Unit
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    seed: int
    fractions: Fractions
    subjects_told: bool | None = None

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))
        members = self.train + self.validation + self.test
        if len(set(members)) < len(members):
            twice = sorted({member for member in members if members.count(member) > 1})
            raise BadInput(
                f"The split uses {', '.join(twice[:5])} more than once; "
                f"put each {self.unit} in one set only."
            )

    @property
    def leaking(self) -> bool:
        """Whether slices of one subject may be in several sets, which inflates every score."""
        return self.unit == "slice"

    @cached_property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 over the unit and the sorted sets.

        The same sets have the same hash, however they were drawn.
        """
        content = json.dumps(
            [self.unit, self.train, self.validation, self.test],
            ensure_ascii=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(content.encode("ascii")).hexdigest()[:12]


def split_by_subject(
    subjects: Iterable[str],
    fractions: Fractions = PUBLISHED,
    seed: int = 0,
    together: Iterable[Sequence[str]] = (),
) -> Split:
    """Share subjects out so that nobody is in two sets.

    Parameters
    ----------
    subjects
        Their names, in any order; the order changes nothing.
    fractions
        Shares of training, validation and test; they add up to 1. A part with 0 stays empty.
    seed
        Another seed draws another split.
    together
        Subjects that are likely the same person: each group lands in one set.

    Raises
    ------
    BadInput
        If there are fewer subjects (or groups) than parts, or the fractions make no sense.
    """
    names = set(subjects)
    groups = {group[0]: group for given in together if (group := sorted(names & set(given)))}
    followers = {name for group in groups.values() for name in group[1:]}
    drawn = _share_out("subject", names - followers, fractions, seed)
    train, validation, test = (
        tuple(name for first in part for name in groups.get(first, [first]))
        for part in (drawn.train, drawn.validation, drawn.test)
    )
    return Split("subject", train, validation, test, seed, fractions)


def split_by_slice(slices: Iterable[str], fractions: Fractions = PUBLISHED, seed: int = 0) -> Split:
    """Share single slices (`"case:z"`) out, as the study did; else as `split_by_subject`.

    Slices of one subject land in all sets, so that scores are too good: the split is `leaking`.
    """
    return _share_out("slice", slices, fractions, seed)


def folds(subjects: Iterable[str], k: int, seed: int = 0) -> list[Split]:
    """Make k splits that test every subject exactly once.

    Subjects are dealt into k groups of nearly equal size. In each split one group is tested; with
    three groups or more the next one is the validation set, with two there is none.

    Raises
    ------
    BadInput
        If k is under 2 or there are fewer subjects than k.
    """
    names = _shuffled(sorted(set(subjects)), seed)
    if k < 2:
        raise BadInput(f"Cross-validation needs at least 2 folds, not {k}.")
    if len(names) < k:
        raise BadInput(
            f"{k} folds need at least {k} subjects, and there are {len(names)}; use fewer folds."
        )
    groups = [tuple(names[start::k]) for start in range(k)]
    splits = []
    for number, test in enumerate(groups):
        validation = groups[(number + 1) % k] if k > 2 else ()
        train = tuple(name for name in names if name not in {*test, *validation})
        total = len(names)
        shares = (len(train) / total, len(validation) / total, len(test) / total)
        splits.append(Split("subject", train, validation, test, seed, shares))
    return splits


def slice_name(case: str, z: int) -> str:
    """Return a slice as a split names it: `"case:z"`."""
    return f"{case}:{z}"


def case_and_slice(name: str) -> tuple[str, str]:
    """Return case and z, as text and unchecked, of `"case:z"`; the case may have colons, too."""
    case, _, z = name.rpartition(":")
    return case, z


def write_split(path: Path, split: Split) -> None:
    """Write a split with its hash as JSON, whole or not at all."""
    write_json(
        path,
        {
            "unit": split.unit,
            "leaking": _leaking(split),
            "subjects_told": split.subjects_told,
            "seed": split.seed,
            "fractions": list(split.fractions),
            "train": list(split.train),
            "validation": list(split.validation),
            "test": list(split.test),
            "hash": split.hash,
        },
    )


def _leaking(split: Split) -> bool | None:
    """Return what a file may say: no leak only where it was told whose scans they are."""
    return True if split.leaking else (False if split.subjects_told else None)


def read_split(path: Path) -> Split:
    """Read a split and check that nobody has changed it.

    Raises
    ------
    BadInput
        If the file is missing, no split, or its hash does not fit its content.
    """
    path = Path(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(
            f"The split {path} cannot be read ({error.strerror or error}); check the path."
        ) from error
    except ValueError as error:
        raise BadInput(f"{path} is not a split file: it is no JSON.") from error
    try:
        if content["unit"] not in ("subject", "slice"):
            raise ValueError(content["unit"])
        train, validation, test = content["fractions"]
        split = Split(
            content["unit"],
            tuple(map(str, content["train"])),
            tuple(map(str, content["validation"])),
            tuple(map(str, content["test"])),
            int(content["seed"]),
            (float(train), float(validation), float(test)),
            content.get("subjects_told"),
        )
        written = content["hash"]
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} is not a split file: it needs unit, train, validation, test, seed, "
            "fractions and hash."
        ) from error
    if written != split.hash:
        raise BadInput(
            f"The split {path} was changed after it was made (its hash is {written}, its content "
            f"has {split.hash}); take the original file or make a new split."
        )
    return split


def check_no_leak(split: Split, subject_of: Mapping[str, str]) -> None:
    """Refuse a split in which one subject is in two sets.

    Parameters
    ----------
    split
        Its members may be subjects, cases, or slices of cases.
    subject_of
        Case → subject.

    Raises
    ------
    BadInput
        Naming the subjects.
    """
    seen: dict[str, str] = {}
    leaking: set[str] = set()
    for part in ("train", "validation", "test"):
        for member in getattr(split, part):
            case = case_and_slice(member)[0] if split.unit == "slice" else member
            subject = subject_of.get(case, case)
            if seen.setdefault(subject, part) != part:
                leaking.add(subject)
    if leaking:
        names = ", ".join(sorted(leaking)[:5])
        trains = any(seen[name] == "train" for name in leaking)
        parts = "in training and in validation or test" if trains else "in validation and in test"
        raise BadInput(f"The split leaks: {names} would be both {parts}; split by subject instead.")


def _check(fractions: Sequence[float]) -> int:
    """Count the parts that shall have members, after checking the fractions."""
    sensible = (
        len(fractions) == 3
        and all(math.isfinite(share) and share >= 0 for share in fractions)
        and fractions[0] > 0
        and abs(sum(fractions) - 1) < 1e-6
    )
    if not sensible:
        raise BadInput(
            f"The fractions {tuple(fractions)} of training, validation and test make no split; "
            "give three that add up to 1, the first above 0."
        )
    return sum(share > 0 for share in fractions)


def _share_out(unit: Unit, members: Iterable[str], fractions: Fractions, seed: int) -> Split:
    names = sorted(set(members))
    parts = _check(fractions)
    if len(names) < parts:
        by, advice = (
            (" by subject", "add subjects or use fewer sets")
            if unit == "subject"
            else ("", "label more slices")
        )
        raise BadInput(
            f"A split{by} into {parts} sets needs at least {parts} {unit}s, and there "
            f"{'is' if len(names) == 1 else 'are'} {len(names)}; {advice}."
        )
    counts = _counts(len(names), fractions)
    drawn = _shuffled(names, seed)
    first, second = counts[0], counts[0] + counts[1]
    return Split(
        unit,
        tuple(drawn[:first]),
        tuple(drawn[first:second]),
        tuple(drawn[second:]),
        seed,
        fractions,
    )


def _counts(total: int, fractions: Fractions) -> list[int]:
    """Share `total` out by the rule at the top of this module."""
    wanted = [share * total for share in fractions]
    counts = [math.floor(share + 1e-9) for share in wanted]
    remainders = sorted(range(3), key=lambda part: (-round(wanted[part] - counts[part], 9), part))
    for part in remainders[: total - sum(counts)]:
        counts[part] += 1
    for part in range(3):
        if fractions[part] > 0 and counts[part] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[part] = 1
    return counts


def _shuffled(names: list[str], seed: int) -> list[str]:
    """Shuffle by hash: the same on every machine and in every version of every library."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
