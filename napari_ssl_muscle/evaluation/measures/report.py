"""Reports of volumes and cross-sectional areas: CSV, JSON, and text for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_ssl_muscle.evaluation.measures.measure import Measure, Measurement
from napari_ssl_muscle.evaluation.provenance import versions
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
    )

    measurements: Sequence[Measurement]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each case, muscle and side."""
        return [
            {
                "subject": found.subject,
                "session": found.session,
                "case": found.name,
                **_figures(found, measure, self.COLUMNS[3:]),
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
                    "measures": [
                        {
                            **_figures(found, measure, self.COLUMNS[3:]),
                            "csa_mm2": list(measure.csa_mm2) if found.spacing_known else None,
                        }
                        for measure in found.measures
                    ],
                }
                for found in self.measurements
            ],
        }

    def to_text(self, width: int = 100) -> str:
        """Return one table for each case, with its notes."""
        parts = []
        for found in self.measurements:
            head = "muscle,volume mL,mean area mm²,largest area mm²,in slice,slices"
            if not found.spacing_known:
                head += ",voxels"
            rows = [
                head.split(","),
                *(
                    [
                        muscle_title(measure.muscle, measure.side),
                        number(measure.volume_ml if found.spacing_known else None, 1),
                        number(measure.mean_csa_mm2 if found.spacing_known else None, 0),
                        number(measure.max_csa_mm2 if found.spacing_known else None, 0),
                        str(measure.max_csa_slice),
                        f"{measure.first_slice}–{measure.last_slice}",
                        *([] if found.spacing_known else [str(measure.voxels)]),
                    ]
                    for measure in found.measures
                ),
            ]
            parts.append("\n".join([found.name, aligned(rows, width), *found.notes]))
        return "\n\n".join(parts) + "\n"


def _figures(found: Measurement, measure: Measure, names: Sequence[str]) -> dict[str, Any]:
    """Return a measure's figures; none in mm where the size of a voxel is not known."""
    invented = () if found.spacing_known else ("volume_ml", "mean_csa_mm2", "max_csa_mm2")
    return {name: None if name in invented else getattr(measure, name) for name in names}
