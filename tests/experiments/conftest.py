"""The cohort, the model and the shell of the tests of jobs."""

from tests.jobs.conftest import cohort, labels, make_model, model, scan, shell

__all__ = ["cohort", "labels", "make_model", "model", "scan", "shell"]
