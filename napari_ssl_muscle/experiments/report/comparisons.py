"""Baseline against pretrained models on test data: differences, intervals, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from napari_ssl_muscle.evaluation.statistics import (
    MARGIN,
    Comparison,
    Score,
    compare_arms,
    seed_spread,
)
from napari_ssl_muscle.experiments.published.trial import BASELINE, arm_title
from napari_ssl_muscle.experiments.report.grids import format_cell
from napari_ssl_muscle.experiments.report.results import Results, TrialRow
from napari_ssl_muscle.experiments.report.table import Table
from napari_ssl_muscle.experiments.report.tables import FINAL, LABELLED, mean_over_subjects
from napari_ssl_muscle.text_table import number

COMPARISON_COLUMNS = (
    "comparison",
    "verdict",
    "subjects",
    "baseline",
    "pretrained",
    "difference",
    "interval_low",
    "interval_high",
    "seed_differences",
    "seeds_sd_baseline",
    "seeds_sd_pretrained",
    "p_different",
    "p_equal",
)
"""Columns of `comparisons.csv`: the interval is the 95 % t interval, p-values are Holm's."""


def comparisons(results: Results) -> dict[str, Comparison]:
    """Return every comparison of a pretrained arm with the baseline on test data, as one family."""
    pairs: dict[str, tuple[list[Score], list[Score]]] = {}
    for key, title in _tested(results).items():
        trials = results.finetunings(key)
        groups = dict.fromkeys((trial.cell, _count(trial)) for trial in trials)
        for cell, count in groups:
            here = [t for t in trials if (t.cell, _count(t)) == (cell, count)]
            first = _of_arm(here, BASELINE) or [t for t in _of_arm(trials, BASELINE) if not t.cell]
            for arm in results.arms(key):
                second = _of_arm(here, arm)
                if arm == BASELINE or not first or not second:
                    continue
                about = [f"{count} labelled" if count else title, format_cell(cell) if cell else ""]
                name = f"{', '.join(part for part in about if part)}: {arm_title(arm)}"
                pairs[name] = results.scores(first, "test"), results.scores(second, "test")
    return compare_arms(pairs)


def _tested(results: Results) -> dict[str, str]:
    titles = {FINAL: "all labels"}
    return {e.key: titles.get(e.key, e.name) for e in results.plan.experiments if e.tested}


def _count(trial: TrialRow) -> int:
    """Return the number of labelled subjects where it is what an experiment varies, else 0."""
    return trial.labelled or 0 if trial.experiment == LABELLED else 0


def _of_arm(trials: Iterable[TrialRow], arm: str) -> list[TrialRow]:
    return [trial for trial in trials if trial.arm == arm]


def comparison_table(found: Mapping[str, Comparison]) -> Table:
    """Return differences with intervals, the seeds beside them, and verdicts in words."""
    rows = []
    for name, entry in found.items():
        low, high = entry.interval.t if entry.interval else (None, None)
        rows.append(
            {
                "comparison": name,
                "verdict": entry.verdict,
                "subjects": len(entry.first),
                "baseline": fmean(entry.first.values()),
                "pretrained": fmean(entry.second.values()),
                "difference": entry.difference,
                "interval_low": low,
                "interval_high": high,
                "seed_differences": " ".join(f"{d:.5f}" for d in entry.by_seed.values()),
                "seeds_sd_baseline": entry.spread[0],
                "seeds_sd_pretrained": entry.spread[1],
                "p_different": entry.p_different,
                "p_equal": entry.p_equal,
                "signed": _signed(entry.difference),
                "interval": entry.interval_text.replace("-", "−"),
                "seeds": " ".join(_signed(value) for value in entry.by_seed.values()),
                "spread": " | ".join(number(value, 3) for value in entry.spread),
            }
        )
    return Table(
        name="comparisons",
        caption="Pretrained against baseline on test data, paired over subjects",
        columns={
            "comparison": "Comparison",
            "verdict": "Verdict",
            "baseline": "Baseline",
            "pretrained": "Pretrained",
            "signed": "Difference",
            "interval": "95 % t interval over subjects",
            "subjects": "Test subjects",
            "seeds": "Difference of each seed",
            "spread": "Seeds’ SD, baseline | pretrained",
        },
        rows=rows,
        csv_columns=COMPARISON_COLUMNS,
        note="SD: standard deviation over seeds within a subject. The CSV has the p-values of both "
        f"tests after Holm’s correction; the margin is {MARGIN}.",
    )


def labelled_table(results: Results) -> Table:
    """Return test Dice against the number of labelled subjects; a column for each arm."""
    arms = results.arms(LABELLED)
    counts = sorted({trial.labelled or 0 for trial in results.finetunings(LABELLED)})
    rows = []
    for count in counts:
        row: dict[str, Any] = {"labelled": count}
        for arm in arms:
            trials = [t for t in results.finetunings(LABELLED, arm) if t.labelled == count]
            scores = results.scores(trials, "test")
            row |= {arm: mean_over_subjects(scores), f"{arm} seeds": seed_spread(scores)}
        rows.append(row)
    columns = {"labelled": "Labelled subjects"}
    for arm in arms:
        columns |= {arm: arm_title(arm), f"{arm} seeds": f"{arm_title(arm)}: seeds’ SD"}
    return Table(
        name="labelled",
        caption="3D Dice on test data against the number of labelled subjects",
        columns=columns,
        rows=rows,
    )


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
