"""What a measurement looks like in the form: rows of the table, sentences, the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from napari_ssl_muscle.evaluation.provenance import unlike_sentences
from napari_ssl_muscle.text_table import counted
from napari_ssl_muscle.viewer.widgets.result_table import Cell, Column, Row, muscle_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_ssl_muscle.evaluation.measures.figures import Measure
    from napari_ssl_muscle.viewer.evaluate.measure_worker import MeasureAnswer, MeasuredLabels

SCAN = Column("Scan", tooltip="The scan.")
MUSCLE = Column("Muscle", tooltip="Point at a row for the muscle's full name.")
SIDE = Column("Side", tooltip="The leg: left and right of the patient.")
VOLUME = Column("mL", 1, tooltip="Volume in mL.")
VOXELS = Column("Voxels", 0, tooltip="Number of voxels: their size is not known.")
FIGURES = (
    Column(
        "Largest\nmm²", 0, tooltip="Largest cross-section of a slice, in mm². A click shows it."
    ),
    Column("Mean\nmm²", 0, tooltip="Mean cross-section of the slices that show the muscle."),
    Column("From\nslice", 0, tooltip="Lowest slice that shows the muscle; the first one is 0."),
    Column("To\nslice", 0, tooltip="Highest slice that shows the muscle."),
)
DIFFERENCE = Column(
    "L−R\n%",
    1,
    signed=True,
    tooltip="Volume on the left minus that on the right, in % of the mean of both.",
)
FAT = Column("Fat\n%", 1, tooltip="Mean fat fraction in %, from the scan's water and fat images.")
_ONE_LEG = ("", "single leg")
_DARK = 0.35
"""Lines darker than this are lightened until they are seen on the dark window."""


def table_rows(
    answer: MeasureAnswer,
) -> tuple[list[Column], list[Row], list[tuple[int, int | None]]]:
    """Return columns, rows, and for each row its layer and measure (None: the total)."""
    measures = [m for one in answer.measured for m in one.found.measures]
    several = len(answer.measured) > 1
    sided = any(m.side not in _ONE_LEG for m in measures)
    paired = any(m.asymmetry_percent is not None for m in measures)
    fat = any(m.fat is not None for m in measures)
    silent = [not one.found.spacing_known for one in answer.measured]
    columns = [
        *([SCAN] if several else []),
        MUSCLE,
        *([SIDE] if sided else []),
        *([] if all(silent) else [VOLUME]),
        *([VOXELS] if any(silent) else []),
        *([DIFFERENCE] if paired else []),
        *([FAT] if fat else []),
        *FIGURES,
    ]
    rows: list[Row] = []
    totals: list[Row] = []
    targets: list[tuple[int, int | None]] = []
    for number, one in enumerate(answer.measured):
        whose: tuple[Cell, ...] = (one.name,) if several else ()
        known = one.found.spacing_known

        def size(ml: float, voxels: int, known: bool = known) -> tuple[Cell, ...]:
            volume = () if all(silent) else (ml if known else None,)
            return (*volume, *((float(voxels),) if any(silent) else ()))

        for index, m in enumerate(one.found.measures):
            rows.append(
                Row(
                    (
                        *whose,
                        muscle_cell(m.muscle, short=several),
                        *((m.side,) if sided else ()),
                        *size(m.volume_ml, m.voxels),
                        *((m.asymmetry_percent,) if paired else ()),
                        *((m.fat_percent,) if fat else ()),
                        m.max_csa_mm2 if known else None,
                        m.mean_csa_mm2 if known else None,
                        float(m.first_slice),
                        float(m.last_slice),
                    ),
                    tooltip=_row_tooltip(one.name, m),
                )
            )
            targets.append((number, index))
        millilitres = sum(m.volume_ml for m in one.found.measures)
        sums = size(millilitres, sum(m.voxels for m in one.found.measures))
        head = (*whose, "total", *(("",) if sided else ()), *sums)
        totals.append(Row((*head, *("",) * (len(columns) - len(head))), summary=True))
    return columns, rows + totals, targets + [(n, None) for n in range(len(totals))]


def _all(answer: MeasureAnswer) -> list[tuple[MeasuredLabels, Measure]]:
    return [(one, m) for one in answer.measured for m in one.found.measures]


def _row_tooltip(name: str, measure: Measure) -> str:
    said = f"{name}: {measure.muscle} {measure.side}".strip()
    if measure.coverage == "whole":
        return said
    return f"{said}, {measure.coverage} by the end of the scan: the volume of what is seen"


def headline(answer: MeasureAnswer) -> str:
    """Return the result in a line."""
    count = sum(len({m.muscle for m in one.found.measures}) for one in answer.measured)
    volume = sum(m.volume_ml for _, m in _all(answer))
    scans = len(answer.measured)
    if scans == 1 and not answer.measured[0].found.spacing_known:
        voxels = sum(m.voxels for _, m in _all(answer))
        return f"✓ {counted(count, 'muscle')}, {voxels:,} voxels in all; their size is not known."
    if scans == 1:
        least = "at least " if answer.measured[0].found.cut else ""
        return f"✓ {counted(count, 'muscle')}, {least}{volume:.1f} mL in all."
    return f"✓ {scans} scans measured."


def sentences(answer: MeasureAnswer) -> str:
    """Return what belongs to the figures."""
    found = []
    for one in answer.measured:
        for note in (*unlike_sentences(one.found.unlike_training), *one.found.notes):
            found.append(f"{one.name}: {note}" if len(answer.measured) > 1 else note)
    return "\n".join(found)


def area_plot(
    one: MeasuredLabels, current: int | None, marked: int | None
) -> Callable[[Figure], None]:
    """Return what paints every muscle's cross-section along the leg.

    Parameters
    ----------
    one
        The layer's figures.
    current
        The slice that is shown: marked with a line.
    marked
        Index of the measure to highlight; None for none.
    """
    step = one.found.spacing[0] / 10.0 if one.found.spacing_known else 1.0
    measures, colours = one.found.measures, [lightened(colour) for colour in one.colours]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for index, (m, colour) in enumerate(zip(measures, colours, strict=True)):
            shown = range(m.first_slice, m.last_slice + 1)
            faint = marked is not None and measures[marked].muscle != m.muscle
            axes.plot(
                [z * step for z in shown],
                [m.csa_mm2[z] for z in shown],
                linestyle="--" if m.side in ("right", "second leg") else "-",
                marker="o" if len(shown) < 3 else None,
                markersize=3,
                color=colour,
                alpha=0.35 if faint else 1.0,
                linewidth=2.4 if marked == index else 1.2,
            )
        if current is not None:
            axes.axvline(current * step, color="#BBBBBB", linewidth=0.8)
        axes.set_ylim(bottom=0)
        known = one.found.spacing_known
        axes.set_xlabel("cm above the lowest slice" if known else "slice")
        axes.set_ylabel("cross-section, mm²" if known else "cross-section, voxels")
        axes.grid(alpha=0.2)

    return paint


def legend(one: MeasuredLabels) -> str:
    """Return the muscles with their colours, and what the lines mean."""
    muscles: dict[str, str] = {}
    for m, colour in zip(one.found.measures, one.colours, strict=True):
        muscles.setdefault(
            m.muscle, "#" + "".join(f"{round(255 * c):02x}" for c in lightened(colour))
        )
    text = " &nbsp; ".join(
        f'<span style="color:{colour}">■</span>&nbsp;{name.replace(" ", "&nbsp;")}'
        for name, colour in muscles.items()
    )
    sides = {m.side for m in one.found.measures}
    for solid, dashed in (("left", "right"), ("first leg", "second leg")):
        if sides & {solid, dashed}:
            text += f"<br>Lines: {solid} ——, {dashed} – –"
    return text


def lightened(colour: Sequence[float]) -> tuple[float, ...]:
    """Return a colour (RGB), lightened if it would not be seen on the dark window."""
    red, green, blue = (float(part) for part in colour[:3])
    light = 0.3 * red + 0.59 * green + 0.11 * blue
    share = max(0.0, (_DARK - light) / (1.0 - light)) if light < 1.0 else 0.0
    return tuple(part + share * (1.0 - part) for part in (red, green, blue))
