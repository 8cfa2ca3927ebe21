"""What all jobs are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Job(BaseModel):
    """Base of all jobs: unknown names are refused, values never change."""

    # pydantic writes infinity as null, so that job.json would say something else than the job.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
