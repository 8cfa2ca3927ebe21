"""These forms work on layers only."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def viewer(layers_only: Any) -> Any:
    return layers_only
