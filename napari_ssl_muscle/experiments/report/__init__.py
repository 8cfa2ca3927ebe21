"""The report of a study: one page with its tables and figures, from the files in its folder."""

from napari_ssl_muscle.experiments.report.write import write_report

__all__ = ["write_report"]
