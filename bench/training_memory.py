"""Peak memory of fine-tuning on the full phantom cohort: 25 scans of 64 slices at 256²."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from figures import Figure, print_figures

from napari_ssl_muscle.phantom.cohort import write_phantom
from napari_ssl_muscle.phantom.settings import PhantomSettings

STEPS = 20


def main(build: Path) -> None:
    folder = build / "bench"
    cohort = folder / "phantom"
    figures = []
    if not (folder / "phantom.complete").exists():
        # Making it takes a while, so it is kept for the next time.
        shutil.rmtree(cohort, ignore_errors=True)
        began = time.monotonic()
        write_phantom(cohort, PhantomSettings())
        figures.append(
            Figure("writing the phantom cohort, 25 scans", time.monotonic() - began, "s")
        )
        (folder / "phantom.complete").touch()
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    command = [sys.executable, "-m", "napari_ssl_muscle", "finetune", str(cohort)]
    command += ["--out", str(run), "--preset", "recommended", "--steps", str(STEPS)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    # The largest of this process's children so far, and there was no other. KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    gigabytes = peak * (1 if sys.platform == "darwin" else 1024) / 1e9
    what = "fine-tuning on the full phantom cohort"
    figures += [
        Figure(f"{what}: peak memory", gigabytes, "GB", "< 2"),
        Figure(f"{what}: reading, {STEPS} steps and one validation", seconds, "s"),
    ]
    print_figures(figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
