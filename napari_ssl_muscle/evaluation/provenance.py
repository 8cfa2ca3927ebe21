"""Where figures come from: model, split, training subjects and versions."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

LEAKING = (
    "LEAKING: the split was made by slice, so neighbouring slices of the same scan were in "
    "training and test; figures on such data are too good."
)

PACKAGES = ("napari-ssl-muscle", "torch", "numpy", "scipy", "nibabel")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that figures depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # run from a source tree without an installation
            continue
    return found


def known_subjects(names: Iterable[str], training: Iterable[str]) -> list[str]:
    """Return those of some names that a training's subjects have; BIDS' "sub-" is left out."""
    known = {subject.removeprefix("sub-") for subject in training}
    return sorted({name for name in names if name.removeprefix("sub-") in known})


@dataclass(frozen=True)
class Provenance:
    """What a report says about the model whose predictions it evaluates; None is unknown.

    Attributes
    ----------
    model, model_hash
        Its name, and the hash of its file.
    split_hash, leaking
        Hash of the split that it was trained with, and whether that was made by slice.
    training_subjects
        Subjects (or cases).
    islands_dropped
        Whether pieces apart from their muscle were removed.
    unlike_training
        How the scan and its labels differ from what the model learned from, the worst first.
    versions
        Of Python and the packages; those of this process by default.
    """

    model: str | None = None
    model_hash: str | None = None
    split_hash: str | None = None
    leaking: bool = False
    training_subjects: frozenset[str] | None = None
    islands_dropped: bool | None = None
    unlike_training: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=versions)

    def trained_on(self, names: Iterable[str]) -> bool | None:
        """Return whether any of a case's names (subject, case) is a training subject's.

        None where the training subjects are not known.
        """
        if self.training_subjects is None:
            return None
        return bool(known_subjects(names, self.training_subjects))

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        subjects = self.training_subjects
        found = asdict(self) | {"training_subjects": None if subjects is None else sorted(subjects)}
        del found["unlike_training"]  # of one scan, and said beside it
        return found


def unlike_sentences(reasons: Sequence[str]) -> list[str]:
    """Say that a scan is unlike those that the model learned from; nothing without a reason."""
    return [f"This scan is unlike the training scans: {'; '.join(reasons)}."] if reasons else []


def combine(origins: Sequence[Provenance | None]) -> tuple[Provenance, list[str]]:
    """Return where several predictions come from together, and what is to be said about it.

    Each prediction has one; None where nobody knows.
    """
    known = {origin.model_hash: origin for origin in origins if origin is not None}
    if not known:
        return Provenance(), []
    unknown = sum(origin is None for origin in origins)
    if len(known) == 1 and not unknown:
        return next(iter(known.values())), []
    count = f"{len(known)} different models" if len(known) > 1 else "a model"
    rest = f", and {unknown} of unknown origin" if unknown else ""
    return Provenance(leaking=any(origin.leaking for origin in known.values())), [
        f"The predictions were made by {count}{rest}; figures are taken over all of them."
    ]
