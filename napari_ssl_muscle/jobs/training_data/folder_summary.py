"""What folders hold for a training, before any of it is read: counts, names and problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.jobs.training_data.labelled import choose_muscles
from napari_ssl_muscle.jobs.training_data.unlabelled import unlabelled_cases
from napari_ssl_muscle.scans.cohort import open_cohort, table_of
from napari_ssl_muscle.scans.volume import open_label_map
from napari_ssl_muscle.study.study import Study
from napari_ssl_muscle.study.study_folder import is_study
from napari_ssl_muscle.study.training_cases import training_cases
from napari_ssl_muscle.text_table import counted

_SHOWN = 3


@dataclass(frozen=True)
class FolderSummary:
    """What there is to learn from in a folder, or in several.

    Attributes
    ----------
    text
        What is in them, as a sentence.
    channels
        Names of image channels.
    problems
        Sentences about what cannot be used.
    slices
        How many may train, if all slices of a label map are labelled.
    muscles, usual
        Names of muscles, and of those that are learned if none are chosen.
    is_study
        Whether it is a study with accepted slices.
    model
        Of a study: the model that was kept, as a job names it.
    """

    folders: tuple[Path, ...]
    text: str
    channels: tuple[str, ...]
    problems: tuple[str, ...]
    slices: int
    muscles: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()
    is_study: bool = False
    model: str | None = None

    @property
    def folder(self) -> Path:
        """The first folder, where labels come from one only."""
        return self.folders[0]

    @property
    def description(self) -> str:
        """What is in the folders, and the first problems with it."""
        problems = [f"⚠ {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            problems.append(f"⚠ … and {len(self.problems) - _SHOWN} more.")
        return "\n".join([self.text, *problems])


def summarise_labelled(folder: Path) -> FolderSummary:
    """Summarise a cohort with labels, or a study; a study may be open in the window meanwhile.

    Raises
    ------
    BadInput
        If there is nothing to learn from: no scan with labels, or no accepted and saved slice but
        for those that are held out; or if the labels' values are not in the table.
    """
    return _summarise_study(folder) if is_study(folder) else _summarise_cohort(folder)


def summarise_unlabelled(folders: Sequence[Path]) -> FolderSummary:
    """Summarise folders with scans that need no labels; reads headers only.

    Raises
    ------
    BadInput
        If there is no scan in one of them, or none can be used.
    """
    cohorts = [open_cohort(folder) for folder in folders]
    found = unlabelled_cases(cohorts)
    return FolderSummary(
        folders=tuple(folders),
        text=f"{counted(len(found.cases), 'image')} of {counted(found.subjects, 'subject')}; "
        "labels are not needed.",
        channels=tuple(dict.fromkeys(name for cohort in cohorts for name in cohort.channels)),
        problems=tuple(found.warnings),
        slices=sum(case.scans[0].geometry.canonical_shape[0] for case in found.cases),
    )


def _summarise_study(folder: Path) -> FolderSummary:
    study = Study.read(folder)
    cases = training_cases(study)
    train = sum(len(case.accepted - case.held_out) for case in cases)
    compare = sum(len(case.accepted & case.held_out) for case in cases)
    if not train:
        raise BadInput(
            f"The study {folder} has no accepted slice to learn from yet; accept some with the "
            "key A."
        )
    return FolderSummary(
        folders=(folder,),
        text=f"A study: {counted(train, 'accepted slice')} of {counted(len(cases), 'scan')} to "
        f"learn from; {counted(compare, 'slice')} held out to compare models on.",
        channels=(),
        problems=(),
        slices=train,
        muscles=tuple(study.table.names),
        usual=tuple(choose_muscles(study.table, None).names),
        is_study=True,
        model=study.model,
    )


def _summarise_cohort(folder: Path) -> FolderSummary:
    cohort = open_cohort(folder)
    labelled = cohort.labelled
    if not labelled:
        raise BadInput(
            f"{folder} holds {len(cohort.cases)} scans but no label map; fine-tuning learns from "
            "labels, so save some beside the scans as NAME_dseg.nii.gz."
        )
    table = table_of(cohort)
    subjects = len({case.subject for case in labelled})
    return FolderSummary(
        folders=(folder,),
        text=f"{counted(len(labelled), 'labelled scan')} of {counted(subjects, 'subject')} "
        f"({counted(len(cohort.cases), 'scan')} in all), {counted(len(table.names), 'muscle')}.",
        channels=tuple(cohort.channels),
        problems=tuple(cohort.problems),
        slices=sum(_slices(case.labels) for case in labelled if case.labels is not None),
        muscles=tuple(table.names),
        usual=tuple(choose_muscles(table, None).names),
    )


def _slices(labels: Path) -> int:
    try:
        return open_label_map(labels).geometry.canonical_shape[0]
    except BadInput:  # it is among the problems
        return 0
