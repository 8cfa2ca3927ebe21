"""From the shell command to the labels of a 512 × 512 × 16 scan, the program's start included."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from figures import Figure, print_figures
from models import benchmark_model
from scans import benchmark_scan

REPEATS = 3


def main(build: Path) -> None:
    folder = build / "bench"
    model, name = benchmark_model(build)
    scan = benchmark_scan(build)
    command = [sys.executable, "-m", "napari_ssl_muscle", "segment", str(scan)]
    command += ["--model", model, "--out", str(folder / "labels"), "--overwrite"]
    seconds = []
    for _ in range(REPEATS):
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    what = f"command to labels, 512 × 512 × 16 ({name})"
    print_figures([Figure(what, median(seconds), "s", "≤ 10 on 2 cores")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
