"""Run the benchmarks, print a table and write `build/bench.json`.

Usage: bench/run.py [NAME ...]      NAME is a script in this folder (default: all of them)

Each script runs in a Python of its own, so that none warms up or bloats the next. Windows are
shown: without a display, run it through tools/display.py, as ``make bench`` does.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
SCRIPTS = (
    "startup",
    "segment_command",
    "segment_click",
    "responsiveness",
    "finetune_click",
    "workbench_leaks",
    "training_speed",
    "training_memory",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return 1 if one of them failed."""
    unknown = sorted(set(names) - set(SCRIPTS))
    if unknown:
        print(f"no benchmark {unknown[0]}; there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return 2
    return measure(names or list(SCRIPTS))


def measure(names: list[str]) -> int:
    """Run the benchmarks one after the other and report."""
    BUILD.mkdir(exist_ok=True)
    figures: list[dict[str, Any]] = []
    failed: list[str] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        ended = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), str(BUILD)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )
        if ended.returncode:
            failed.append(name)
            continue
        rows = json.loads(ended.stdout.splitlines()[-1])
        figures += [row | {"benchmark": name} for row in rows]
    print(table(figures))
    report = {"machine": machine(), "figures": figures, "failed": failed}
    text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
    (BUILD / "bench.json").write_text(text, encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def table(figures: list[dict[str, Any]]) -> str:
    """Return the figures as lines of text, the units aligned."""
    width = max((len(row["what"]) for row in figures), default=0)
    lines = [f"{', '.join(f'{key} {value}' for key, value in machine().items())}", ""]
    for row in figures:
        aim = f"   (aim {row['aim']})" if row["aim"] else ""
        lines.append(f"{row['what']:<{width}}  {row['value']:>9.2f} {row['unit']}{aim}")
    return "\n".join(lines)


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "cores": str(os.cpu_count()),
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": version("torch"),
        "napari": version("napari"),
    }


def processor() -> str:
    """Return the processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
