"""Write the report of a study: one page that needs nothing else, and its tables as CSV."""

from __future__ import annotations

from pathlib import Path

from napari_ssl_muscle.experiments.published.files import REPORT
from napari_ssl_muscle.experiments.report.results import Results, read_results
from napari_ssl_muscle.experiments.report.sections import Section, sections
from napari_ssl_muscle.files import write_text, write_together

TABLES = "tables"
"""Folder of the report's tables, in the study's folder."""

_TEMPLATE = "page.html"


def write_report(out: Path) -> Path:
    """Write `report.html` and `tables/*.csv` of a study, whatever is finished of it.

    Parameters
    ----------
    out
        The study's folder; see `experiments.published.files`.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    BadInput
        If the folder holds no study, or cannot be written.
    """
    results = read_results(out)
    shown = sections(results)
    csvs = {f"{table.name}.csv": table.csv for section in shown for table in section.tables}
    write_together(out / TABLES, csvs)
    path = out / REPORT
    write_text(path, _page(results, shown))
    return path


def _page(results: Results, shown: list[Section]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(plan=results.plan, sections=shown)
