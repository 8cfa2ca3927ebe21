"""Which trials a plan has, as far as the scores of those that are done decide them.

Each fold chooses for itself, by its own validation data: its test subjects have no part in what is
tested on them. Nothing here trains or imports torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from napari_ssl_muscle.experiments.published.plan import Experiment, Fold, Plan
from napari_ssl_muscle.experiments.published.trial import (
    BASELINE,
    SCRATCH,
    Trial,
    Value,
    arm_name,
    cell_name,
)

PRETRAINED = "pretrained"
"""The arm of experiments 1 and 2 in the table of choices: what they choose is for all arms."""

UNSCORED = -1.0
"""Score of a run whose validation data holds none of the muscles: below every Dice."""

Settings = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """A cell that an experiment compared in a fold; `dice` is None where it was assumed."""

    experiment: str
    arm: str
    fold: str
    cell: str
    dice: float | None
    seeds: int
    rank: int
    chosen: bool


@dataclass
class Schedule:
    """Trials in the order of the plan, and the choices that were made."""

    trials: list[Trial] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)


def schedule(plan: Plan, scores: Mapping[str, float], *, assume: bool = False) -> Schedule:
    """Return the trials that are known by now.

    Parameters
    ----------
    plan
        What is asked.
    scores
        Run → validation Dice of the fine-tunings that are done.
    assume
        Take the first cell for the best where scores are missing: the trials of a whole study, of
        which some may turn out to be others.
    """
    whole = Schedule()
    finals: list[dict[str, _Arm]] = []
    by_subject = [fold for fold in plan.folds if not fold.leaking]
    for number, fold in enumerate(by_subject):
        one = _FoldSchedule(plan, fold, number, scores, assume)
        one.build()
        whole.trials += one.trials
        whole.choices += one.choices
        if one.final is not None:
            finals.append(one.final)
    for fold in plan.folds:
        if fold.leaking and len(finals) == len(by_subject):
            one = _FoldSchedule(plan, fold, 0, scores, assume)
            one.final_table(_most_common(finals))
            whole.trials += one.trials
    return whole


@dataclass(frozen=True)
class _Arm:
    """What is known of an arm: settings of its pretraining (None: none) and its fine-tuning."""

    name: str
    pretrain: Settings | None
    finetune: Settings
    cohorts: tuple[str, ...] = ()

    def with_finetune(self, settings: Mapping[str, Any]) -> _Arm:
        return _Arm(self.name, self.pretrain, {**self.finetune, **settings}, self.cohorts)


class _Waiting(Exception):  # noqa: N818 - not an error
    """The next trials depend on scores that are not there yet."""


class _FoldSchedule:
    """The trials of one fold."""

    def __init__(
        self, plan: Plan, fold: Fold, number: int, scores: Mapping[str, float], assume: bool
    ) -> None:
        self.trials: list[Trial] = []
        self.choices: list[Choice] = []
        self.final: dict[str, _Arm] | None = None
        self._plan, self._fold, self._number = plan, fold, number
        self._scores, self._assume = scores, assume
        self._pretrainings: set[str] = set()

    def build(self) -> None:
        """Add all trials whose settings are known."""
        try:
            self._build()
        except _Waiting:
            return

    def _build(self) -> None:
        plan = self._plan
        base = _Arm(BASELINE, None, {})
        (best,) = self._compare("0", [base], lambda arm, cell: arm.with_finetune(cell)).best()
        baseline = best[0]
        first = _mask_of(plan)
        if (experiment := plan.experiment("1")) is None:
            return
        start = _Arm(arm_name(*first), _masking(*first), baseline.finetune)

        def with_pretext(arm: _Arm, cell: Mapping[str, Value]) -> _Arm:
            assert arm.pretrain is not None
            return _Arm(arm.name, {**arm.pretrain, **cell}, arm.finetune)

        (best,) = self._compare(experiment.key, [start], with_pretext, PRETRAINED).best()
        pretext = best[0].pretrain
        assert pretext is not None
        if (experiment := plan.experiment("2")) is None:
            return

        def with_mask(arm: _Arm, cell: Mapping[str, Value]) -> _Arm:
            name = arm_name(float(cell["mask_percent"]), int(cell["kernel_size"]))
            return _Arm(name, {**pretext, **cell}, baseline.finetune)

        compared = self._compare(experiment.key, [start], with_mask, PRETRAINED)
        carried = self._carried(experiment)
        masked = compared.best(2, carried)[0]
        self._further(baseline, masked[0])
        if plan.experiment("3") is None:
            return
        frozen = self._compare("3", masked, lambda arm, cell: arm.with_finetune(cell)).best()
        if plan.experiment("4") is None:
            return
        arms = [baseline, *(arms[0] for arms in frozen)]
        tuned = self._compare("4", arms, lambda arm, cell: arm.with_finetune(cell)).best()
        self.final = {arms[0].name: arms[0] for arms in tuned}
        self.final_table(self.final)
        self._few_labelled(self.final)

    def final_table(self, arms: Mapping[str, _Arm]) -> None:
        """Add the trials of the final table."""
        if (experiment := self._plan.experiment("final")) is not None:
            for arm in arms.values():
                self._add(experiment, arm, {})

    def _few_labelled(self, arms: Mapping[str, _Arm]) -> None:
        """Scratch against pretrained: the same fine-tuning, without validation data."""
        experiment = self._plan.experiment("labelled")
        if experiment is None:
            return
        baseline = arms[BASELINE]
        names = self._fold.train
        for count in self._plan.labelled_counts:
            if count > len(names):
                continue
            # Another fold begins with another subject.
            chosen = [names[(self._number + k) % len(names)] for k in range(count)]
            for arm in list(arms.values())[:2]:
                same = _Arm(arm.name, arm.pretrain, {**baseline.finetune, "split": "none"})
                self._add(experiment, same, {}, tuple(sorted(chosen)))

    def _further(self, baseline: _Arm, masked: _Arm) -> None:
        """Experiments 5 to 7, which compare and choose nothing."""
        assert masked.pretrain is not None
        if (experiment := self._plan.experiment("5")) is not None:
            for cell in experiment.cells:
                self._add(experiment, baseline.with_finetune(cell), cell)
                pretrain = {**masked.pretrain, **cell}
                self._add(
                    experiment, _Arm(masked.name, pretrain, {**baseline.finetune, **cell}), cell
                )
        if (experiment := self._plan.experiment("6")) is not None:
            self._add(experiment, baseline, {})
            for cell in experiment.cells:
                pretrain = {**masked.pretrain, **cell}
                self._add(experiment, _Arm(masked.name, pretrain, baseline.finetune), cell)
        if (experiment := self._plan.experiment("7")) is not None:
            self._add(experiment, baseline, {})
            for cell in experiment.cells:
                added = self._plan.scans[: int(cell["added_folders"])]
                arm = _Arm(masked.name, masked.pretrain, baseline.finetune, added)
                self._add(experiment, arm, cell)

    def _carried(self, experiment: Experiment) -> list[int]:
        """Return the cells that experiment 2 passes on whatever its outcome, as indices."""
        names = [
            arm_name(float(cell["mask_percent"]), int(cell["kernel_size"]))
            for cell in experiment.cells
        ]
        return [names.index(name) for name in self._plan.carried if name in names]

    def _compare(
        self,
        key: str,
        arms: Sequence[_Arm],
        with_cell: Callable[[_Arm, Mapping[str, Value]], _Arm],
        chooser: str | None = None,
    ) -> _Comparison:
        """Add the trials of an experiment that chooses, and return what tells the best cells."""
        experiment = self._plan.experiment(key)
        if experiment is None:
            raise _Waiting
        compared = []
        for arm in arms:
            tried = [with_cell(arm, cell) for cell in experiment.cells]
            runs = [
                self._add(experiment, one, cell)
                for one, cell in zip(tried, experiment.cells, strict=True)
            ]
            compared.append((chooser or arm.name, tried, runs))
        return _Comparison(self, experiment, compared)

    def _add(
        self,
        experiment: Experiment,
        arm: _Arm,
        cell: Mapping[str, Value],
        labelled: tuple[str, ...] | None = None,
    ) -> list[str]:
        """Add an arm's trials, one for each seed, and return the runs of its fine-tunings."""
        fold, plan = self._fold, self._plan
        runs = []
        for seed in plan.seeds:
            common: dict[str, Any] = {
                "experiment": experiment.key,
                "arm": arm.name,
                "cell": dict(cell),
                "fold": fold.name,
                "fold_hash": fold.hash,
                "seed": seed,
            }
            start = SCRATCH
            if arm.pretrain is not None:
                pretraining = Trial(
                    **common,
                    kind="pretrain",
                    settings={**plan.base["pretrain"], **arm.pretrain},
                    cohorts=arm.cohorts,
                )
                start = pretraining.run
                if start not in self._pretrainings:
                    self._pretrainings.add(start)
                    self.trials.append(pretraining)
            finetuning = Trial(
                **common,
                kind="finetune",
                labelled=fold.train if labelled is None else labelled,
                settings={**plan.base["finetune"], **arm.finetune},
                start=start,
                tested=experiment.tested,
            )
            self.trials.append(finetuning)
            runs.append(finetuning.run)
        return runs


@dataclass(frozen=True)
class _Comparison:
    """Cells that were tried, by arm: who chooses, the arm with each cell, the runs of each."""

    of: _FoldSchedule
    experiment: Experiment
    compared: list[tuple[str, list[_Arm], list[list[str]]]]

    def best(self, count: int = 1, fixed: Sequence[int] = ()) -> list[list[_Arm]]:
        """Return for each arm its best cells in the order of the grid; `fixed` ones, if given.

        Raises
        ------
        _Waiting
            If scores are missing.
        """
        scores, assume = self.of._scores, self.of._assume
        for _, _, runs in self.compared:
            if not assume and any(run not in scores for each in runs for run in each):
                raise _Waiting
        return [
            [tried[index] for index in self._chosen(chooser, runs, count, fixed)]
            for chooser, tried, runs in self.compared
        ]

    def _chosen(
        self, chooser: str, runs: list[list[str]], count: int, fixed: Sequence[int]
    ) -> list[int]:
        scores = self.of._scores
        known = [
            fmean(scores[run] for run in each) if all(run in scores for run in each) else None
            for each in runs
        ]
        # Of equal cells the first; an unknown one is assumed to be worse than those before it.
        ranked = sorted(
            range(len(runs)), key=lambda index: -(UNSCORED if (d := known[index]) is None else d)
        )
        chosen = sorted(fixed or ranked[:count])
        self.of.choices += [
            Choice(
                self.experiment.key,
                chooser,
                self.of._fold.name,
                cell_name(cell),
                known[index],
                len(runs[index]),
                ranked.index(index) + 1,
                index in chosen,
            )
            for index, cell in enumerate(self.experiment.cells)
        ]
        return chosen


def _mask_of(plan: Plan) -> tuple[float, int]:
    """Return the masking under which pretext parameters are compared.

    Its numbers are those of a cell that has the same ones: 10, not 10.0, or the same training
    would be two runs.
    """
    if plan.carried:
        percent, _, kernel = plan.carried[0].removeprefix("mask").partition("-k")
        masked, size = float(percent), int(kernel)
    else:
        given = plan.base["pretrain"]
        masked, size = float(given["mask_percent"]), int(given["kernel_size"])
    return int(masked) if masked.is_integer() else masked, size


def _masking(percent: float, kernel: int) -> Settings:
    return {"mask_percent": percent, "kernel_size": kernel}


def _most_common(finals: Sequence[Mapping[str, _Arm]]) -> dict[str, _Arm]:
    """Return for each arm what most folds chose; of equally many, what the first fold chose."""
    names = list(dict.fromkeys(name for final in finals for name in final))
    found = {}
    for name in names:
        there = [final[name] for final in finals if name in final]
        counts = Counter(repr(arm) for arm in there)
        found[name] = max(there, key=lambda arm: counts[repr(arm)])
    return found
