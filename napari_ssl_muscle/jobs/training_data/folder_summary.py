"""What a folder with labelled scans holds: a cohort, or a study with accepted slices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.labelled import choose_muscles


@dataclass(frozen=True)
class CohortView:
    """What the form needs to know of a folder with labelled scans.

    Attributes
    ----------
    folder, text
        Where it is, and what is in it, in words.
    channels, muscles, usual
        Names of image channels and of muscles, and which of those are usually learned.
    problems
        Sentences about what cannot be used.
    is_study
        Whether it is a study with accepted slices.
    model
        Of a study: the model that was kept, as a job names it.
    slices
        How many may train, if all slices of a label map are labelled.
    """

    folder: Path
    text: str
    channels: tuple[str, ...]
    muscles: tuple[str, ...]
    usual: tuple[str, ...]
    problems: tuple[str, ...]
    is_study: bool = False
    model: str | None = None
    slices: int = 0

    @property
    def words(self) -> str:
        """What is in the folder, and the first problems with it."""
        problems = [f"⚠ {problem}" for problem in self.problems[:3]]
        if len(self.problems) > 3:
            problems.append(f"⚠ … and {len(self.problems) - 3} more.")
        return "\n".join([self.text, *problems])


def view_folder(folder: Path) -> CohortView:
    """Look into a folder, whichever of the two it is.

    Raises
    ------
    BadInput
        If there is nothing to learn from in it.
    """
    from napari_ssl_muscle.study.study import is_study

    return view_study(folder) if is_study(folder) else view_cohort(folder)


def view_study(folder: Path) -> CohortView:
    """Look into a study's folder; it may be open in the window meanwhile.

    Raises
    ------
    BadInput
        If no slice of it is accepted and saved, but for those that are held out.
    """
    from napari_ssl_muscle.study.study import Study

    study = Study.read(folder)
    cases = study.training_cases()
    train = sum(len(case.accepted - case.held_out) for case in cases)
    compare = sum(len(case.accepted & case.held_out) for case in cases)
    if not train:
        raise BadInput(
            f"The study {folder} has no accepted slice to learn from yet; accept some with the "
            "key A."
        )
    return CohortView(
        folder=folder,
        text=f"A study: {_count(train, 'accepted slice')} of {_count(len(cases), 'scan')} to learn "
        f"from; {_count(compare, 'slice')} held out to compare models on.",
        channels=(),
        muscles=tuple(study.table.names),
        usual=tuple(choose_muscles(study.table, None).names),
        problems=(),
        is_study=True,
        model=study.model,
        slices=train,
    )


def view_cohort(folder: Path) -> CohortView:
    """Look into a cohort's folder.

    Raises
    ------
    BadInput
        If there is no scan with labels in it, or the labels' values are not in its table.
    """
    from napari_ssl_muscle.scans.cohort import open_cohort, table_of

    cohort = open_cohort(folder)
    labelled = cohort.labelled
    if not labelled:
        raise BadInput(
            f"{folder} holds {len(cohort.cases)} scans but no label map; fine-tuning learns from "
            "labels, so save some beside the scans as NAME_dseg.nii.gz."
        )
    table = table_of(cohort)
    subjects = len({case.subject for case in labelled})
    text = (
        f"{_count(len(labelled), 'labelled scan')} of {_count(subjects, 'subject')}"
        f" ({_count(len(cohort.cases), 'scan')} in all), {_count(len(table.names), 'muscle')}."
    )
    return CohortView(
        folder=folder,
        text=text,
        channels=tuple(cohort.channels),
        muscles=tuple(table.names),
        usual=tuple(choose_muscles(table, None).names),
        problems=tuple(cohort.problems),
        slices=sum(_slices(case.labels) for case in labelled if case.labels is not None),
    )


def _slices(labels: Path) -> int:
    from napari_ssl_muscle.scans.volume import open_label_map

    try:
        return open_label_map(labels).geometry.canonical_shape[0]
    except BadInput:  # it is told among the problems
        return 0


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"
