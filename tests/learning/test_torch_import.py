"""The first import of torch leaves torch as any import does."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from napari_ssl_muscle.learning import torch_import
assert "torch" not in sys.modules
torch_import.import_torch()
import torch
net = torch.nn.Conv2d(1, 2, 3)
net(torch.ones(1, 1, 8, 8)).sum().backward()
print(float(net.weight.grad.abs().sum()) > 0)
torch_import.import_torch()
"""


def test_torch_works_after_its_libraries_were_loaded_beforehand() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "True"


def test_where_the_libraries_cannot_be_loaded_beforehand_torch_is_imported_all_the_same() -> None:
    broken = SCRIPT.replace("assert", "torch_import._LIBRARIES = ('no\\0library',); assert", 1)
    ended = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
