"""The shell command `ssl-muscle`: every action of the window, and the window itself.

Results go to stdout, progress to stderr; `--events` gives JSON lines on stdout instead.
Exit codes: 0 done, 2 the request was wrong, 1 it failed, 130 stopped by the user. Heavy imports
wait until a command runs, so that help comes at once.
"""

from __future__ import annotations

# In the order of the help: a module adds its commands when it is imported.
from napari_ssl_muscle.cli import cohorts, jobs, models, window  # noqa: F401
from napari_ssl_muscle.cli.shell import main

__all__ = ["main"]
