"""Reports of volumes and cross-sectional areas: CSV, JSON, and text for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from napari_ssl_muscle.evaluation.measures.figures import Measure, Measurement
from napari_ssl_muscle.evaluation.measures.outliers import RULE, Outlier, outliers
from napari_ssl_muscle.evaluation.provenance import unlike_sentences, versions
from napari_ssl_muscle.evaluation.report import Report
from napari_ssl_muscle.files import csv_text
from napari_ssl_muscle.text_table import aligned, muscle_title, number

SLICE_COLUMNS = (
    "subject",
    "session",
    "case",
    "muscle",
    "side",
    "slice",
    "above_lowest_slice_mm",
    "csa_mm2",
)
"""Columns of `cross_sections.csv`; one row for each of a muscle's slices. The lowest is 0."""


@dataclass(frozen=True, eq=False)
class MeasureReport(Report):
    """Measurements of one or more label maps.

    Attributes
    ----------
    measurements
        One for each label map.
    """

    FILES = ("measures.csv", "cross_sections.csv", "measures.json")
    COLUMNS = (
        "subject",
        "session",
        "case",
        "muscle",
        "side",
        "volume_ml",
        "mean_csa_mm2",
        "max_csa_mm2",
        "max_csa_slice",
        "slices",
        "first_slice",
        "last_slice",
        "voxels",
        "length_mm",
        "coverage",
        "asymmetry_percent",
        "fat_percent",
        "fat_free_volume_ml",
        "fat_erosion_mm",
        "fat_source",
        "outlier",
        "notes",
        "unlike_training",
    )

    measurements: Sequence[Measurement]

    @cached_property
    def outliers(self) -> list[Outlier]:
        """Figures that stand far apart from those of the other label maps."""
        return outliers(self.measurements)

    def _outlying(self, found: Measurement, measure: Measure) -> str | None:
        """Return which figures of a muscle are outliers, as `measures.csv` has them."""
        whose = (found.name, measure.muscle, measure.side)
        said = [o.figure for o in self.outliers if (o.case, o.muscle, o.side) == whose]
        return ";".join(said) or None

    @property
    def columns(self) -> tuple[str, ...]:
        """`COLUMNS`, then an area for each level that was asked for: `csa_at_50_percent_mm2`."""
        levels = dict.fromkeys(level for m in self.measurements for level in m.settings.levels)
        return (*self.COLUMNS, *(level_column(level) for level in levels))

    def rows(self) -> list[dict[str, Any]]:
        """One row for each case, muscle and side."""
        return [
            {
                "subject": found.subject,
                "session": found.session,
                "case": found.name,
                **_figures(found, measure),
                "outlier": self._outlying(found, measure),
                "notes": " ".join(found.notes),
                "unlike_training": "; ".join(found.unlike_training),
            }
            for found in self.measurements
            for measure in found.measures
        ]

    def slice_rows(self) -> list[dict[str, Any]]:
        """Return one row for each slice of each muscle and side, with `SLICE_COLUMNS` as keys."""
        return [
            {
                "subject": found.subject,
                "session": found.session,
                "case": found.name,
                "muscle": measure.muscle,
                "side": measure.side,
                "slice": z,
                "above_lowest_slice_mm": z * found.spacing[0],
                "csa_mm2": area,
            }
            for found in self.measurements
            if found.spacing_known
            for measure in found.measures
            for z, area in enumerate(measure.csa_mm2)
            if area > 0
        ]

    def tables(self) -> tuple[str, ...]:
        """`rows` and `slice_rows`."""
        return (self.to_csv(), csv_text(SLICE_COLUMNS, self.slice_rows()))

    def content(self) -> dict[str, Any]:
        """Versions, units and measures, case by case."""
        return {
            "versions": versions(),
            "units": {
                "volume_ml": "mL",
                "csa_mm2": "mm² in the plane of the slice",
                "slice": "counted from the lowest slice, which is 0",
            },
            "cases": [
                {
                    "case": found.name,
                    "subject": found.subject,
                    "session": found.session,
                    "spacing_mm": {
                        "slices": found.spacing[0],
                        "rows": found.spacing[1],
                        "columns": found.spacing[2],
                    },
                    "notes": list(found.notes),
                    "unlike_training": list(found.unlike_training),
                    "measures": [
                        {
                            **_figures(found, measure),
                            "csa_mm2": list(measure.csa_mm2) if found.spacing_known else None,
                        }
                        for measure in found.measures
                    ],
                }
                for found in self.measurements
            ],
            "outliers": [asdict(one) for one in self.outliers],
            "outlier_rule": RULE,
        }

    def to_text(self, width: int = 100) -> str:
        """Return one table for each case, with its notes."""
        parts = []
        for found in self.measurements:
            fat = any(m.fat is not None for m in found.measures)
            head = "muscle,volume mL,mean mm²,largest mm²,in slice,slices"
            head += ",fat %" if fat else ""
            head += "" if found.spacing_known else ",voxels"
            rows = [
                head.split(","),
                *(
                    [
                        muscle_title(measure.muscle, measure.side),
                        _seen(found, measure.volume_ml, measure.coverage != "whole"),
                        number(measure.mean_csa_mm2 if found.spacing_known else None, 0),
                        number(measure.max_csa_mm2 if found.spacing_known else None, 0),
                        str(measure.max_csa_slice),
                        f"{measure.first_slice}–{measure.last_slice}",
                        *([number(measure.fat_percent, 1)] if fat else []),
                        *([] if found.spacing_known else [str(measure.voxels)]),
                    ]
                    for measure in found.measures
                ),
            ]
            if len(found.measures) > 1:
                total = _seen(found, sum(m.volume_ml for m in found.measures), found.cut)
                rows.append(["total", total, *[""] * (len(rows[0]) - 2)])
            about = [*unlike_sentences(found.unlike_training), *found.notes]
            parts.append("\n".join([found.name, aligned(rows, width), *about]))
        if self.outliers:
            parts.append("\n".join([*map(outlier_text, self.outliers), RULE]))
        return "\n\n".join(parts) + "\n"


def outlier_text(one: Outlier) -> str:
    """Return an outlier as a sentence."""
    name, digits = {
        "volume_ml": ("volume in mL", 1),
        "mean_csa_mm2": ("mean cross-section in mm²", 0),
        "asymmetry_percent": ("left minus right in %", 1),
        "fat_percent": ("fat in %", 1),
    }[one.figure]
    value, median = (f"{number:.{digits}f}" for number in (one.value, one.median))
    muscle = f"{one.muscle} {one.side}".strip()
    return f"{one.case}: {muscle}, {name}, is {value}; the median is {median}."


def _seen(found: Measurement, volume_ml: float, cut: bool) -> str:
    """Return a volume as text; "≥" where the scan holds only a part."""
    text = number(volume_ml if found.spacing_known else None, 1)
    return f"≥ {text}" if cut and found.spacing_known else text


def level_column(level: float) -> str:
    """Return the column of the area at a level of the scan in per cent."""
    return f"csa_at_{level:g}_percent_mm2"


def _figures(found: Measurement, measure: Measure) -> dict[str, Any]:
    """Return a measure's figures; none in mm where the size of a voxel is not known."""
    figures = {
        "muscle": measure.muscle,
        "side": measure.side,
        "volume_ml": measure.volume_ml,
        "mean_csa_mm2": measure.mean_csa_mm2,
        "max_csa_mm2": measure.max_csa_mm2,
        "max_csa_slice": measure.max_csa_slice,
        "slices": measure.slices,
        "first_slice": measure.first_slice,
        "last_slice": measure.last_slice,
        "voxels": measure.voxels,
        "length_mm": measure.length_mm,
        "coverage": measure.coverage,
        "asymmetry_percent": measure.asymmetry_percent,
        "fat_percent": measure.fat_percent,
        "fat_free_volume_ml": measure.fat_free_volume_ml,
        "fat_erosion_mm": None if measure.fat is None else measure.fat.erosion_mm,
        "fat_source": None if measure.fat is None else measure.fat.source,
        **{
            level_column(level): area
            for level, area in zip(found.settings.levels, measure.level_csa_mm2, strict=True)
        },
    }
    if not found.spacing_known:
        invented = (name for name in figures if name.endswith(("_ml", "_mm2", "length_mm")))
        figures |= dict.fromkeys(invented)
    return figures
