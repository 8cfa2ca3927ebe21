"""Trials on dask.distributed: a cluster made here, or any that is there already.

A worker takes a trial as text, reads the plan from the folder, and trains into the run folder.
Where a worker is lost, dask gives its trial to another one, which continues the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from distributed import Client, Future, LocalCluster, wait
from distributed.scheduler import KilledWorker

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.training import key_of
from napari_ssl_muscle.experiments.published.trial import Trial
from napari_ssl_muscle.experiments.published.workers.one_trial import check_shared, run_trial
from napari_ssl_muscle.jobs.run import JobFailed
from napari_ssl_muscle.learning.events import Emit, ShouldStop

LOOPBACK = "127.0.0.1"

STOP = ".stop"
"""File in the folder of the experiments that asks workers to end their trials."""

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether the user wants to stop."""

_CONNECT = 5
"""Seconds to wait for a scheduler."""

_GRACE = 120
"""Seconds that trials get to write a checkpoint when they are stopped."""


def run_here(trial: str, out: str) -> bool:
    """Run a trial in a worker; return False if it was stopped.

    Parameters
    ----------
    trial
        `Trial` as JSON.
    out
        Folder of the experiments, as the worker sees it.
    """
    folder = Path(out)
    plan = check_shared(folder)
    return run_trial(Trial.model_validate_json(trial), plan, folder, stop=(folder / STOP).exists)


class DaskWorkers:
    """Runs trials on the workers of a dask client.

    Parameters
    ----------
    client
        Connected.
    out
        Folder of the experiments.
    where
        What `describe` says.
    count
        Workers that are expected; None asks the scheduler each time.
    """

    def __init__(self, client: Client, out: Path, where: str, count: int | None = None) -> None:
        self._client, self._out, self._where, self._count = client, out.absolute(), where, count
        self._trials: dict[Future, Trial] = {}
        (self._out / STOP).unlink(missing_ok=True)

    @property
    def count(self) -> int:
        """Workers by now; 1 while there are none yet."""
        return self._count or max(1, sum(self._client.nthreads().values()))

    def describe(self) -> str:
        """Return where the trials run."""
        return self._where

    def submit(self, trial: Trial) -> None:
        """Hand a trial to the scheduler."""
        # A key of its own, so that a scheduler that has this trial already does not run it twice.
        content = f"{self._out} {key_of(trial)}"
        key = f"{trial.run}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        future = self._client.submit(
            run_here, trial.model_dump_json(), str(self._out), key=key, pure=True
        )
        self._trials[future] = trial

    def next_done(self, emit: Emit, stop: ShouldStop) -> Trial | None:
        """Wait for a trial to be done; None if the user stopped it."""
        while not stop():
            done = self._wait(list(self._trials), _LOOK_EVERY)
            for future in done:
                trial = self._trials.pop(future)
                return trial if self._result(future, trial) else None
        return None

    def close(self) -> None:
        """Ask what still runs to end, and wait for that."""
        if not self._trials:
            return
        (self._out / STOP).touch()
        with contextlib.suppress(Exception):  # the scheduler may be gone
            wait(list(self._trials), timeout=_GRACE)
        (self._out / STOP).unlink(missing_ok=True)

    def _wait(self, futures: Sequence[Future], seconds: float) -> Sequence[Future]:
        try:
            wait(futures, timeout=seconds, return_when="FIRST_COMPLETED")
        except TimeoutError:
            pass
        except (OSError, asyncio.CancelledError) as error:
            raise self._lost() from error
        return [future for future in futures if future.done()]

    def _result(self, future: Future, trial: Trial) -> bool:
        try:
            return bool(future.result())
        except KilledWorker:
            raise JobFailed(
                f"The workers that ran {trial.id} were lost several times, perhaps for lack of "
                "memory; the same command tries it again."
            ) from None
        except asyncio.CancelledError:
            raise self._lost() from None

    def _lost(self) -> BadInput:
        return BadInput(
            f"The connection to the dask scheduler ({self._where}) was lost; trials that are done "
            "are kept, and the same command goes on."
        )


@contextlib.contextmanager
def local(count: int, out: Path) -> Iterator[DaskWorkers]:
    """Start `count` worker processes here, which listen on loopback only, and end them."""
    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f"{LOOPBACK}:0",
            worker_dashboard_address=f"{LOOPBACK}:0",
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield from _workers(DaskWorkers(client, out, f"{count} worker processes", count))


@contextlib.contextmanager
def joined(address: str, out: Path) -> Iterator[DaskWorkers]:
    """Join the scheduler at an address; errors as of `connect`."""
    with connect(address) as client:
        yield from _workers(DaskWorkers(client, out, f"the dask cluster {address}"))


def connect(address: str) -> Client:
    """Return a client of the scheduler at an address.

    Raises
    ------
    BadInput
        If it cannot be reached.
    """
    try:
        return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadInput(
            f"The dask scheduler {address} cannot be reached; check the address, and that it runs."
        ) from error


def _workers(workers: DaskWorkers) -> Iterator[DaskWorkers]:
    try:
        yield workers
    finally:
        workers.close()
