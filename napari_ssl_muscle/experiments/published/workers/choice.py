"""Where the trials run: in this process, on a dask cluster made here, or on one that is there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.plan import Plan
from napari_ssl_muscle.experiments.published.workers.one_trial import ThisProcess, Workers
from napari_ssl_muscle.jobs.settings import ExperimentsJob


@dataclass(frozen=True)
class WorkersChoice:
    """What was chosen: the number of processes here (1: this one), or a scheduler."""

    count: int
    scheduler: str | None = None
    threads: int = 1

    def check(self) -> None:
        """Refuse a scheduler that cannot be reached (`BadInput`)."""
        if self.scheduler is not None:
            from napari_ssl_muscle.experiments.published.workers.dask_cluster import connect

            connect(self.scheduler).close()

    @contextlib.contextmanager
    def open(self, plan: Plan, out: Path) -> Iterator[Workers]:
        """Start or join the workers; leave them at the end.

        Raises
        ------
        BadInput
            If the scheduler cannot be reached.
        """
        if self.scheduler is None and self.count == 1:
            yield ThisProcess(plan, out)
            return
        from napari_ssl_muscle.experiments.published.workers import dask_cluster as cluster

        if self.scheduler is not None:
            with cluster.joined(self.scheduler, out) as workers:
                yield workers
        else:
            with cluster.local(self.count, out) as workers:
                yield workers


def choose_workers(job: ExperimentsJob) -> WorkersChoice:
    """Return where a job's trials run.

    Raises
    ------
    BadInput
        If the extra is missing, or a scheduler on another machine is asked for without TLS.
    """
    there = find_spec("distributed") is not None
    if job.scheduler is not None:
        if job.workers is not None:
            raise BadInput("--workers starts workers here, --scheduler has its own; give one.")
        _need_extra(there)
        check_scheduler(job.scheduler, job.trust_network)
        return WorkersChoice(1, job.scheduler, job.threads)
    if job.workers is not None:
        if job.workers > 1:
            _need_extra(there)
        return WorkersChoice(job.workers, threads=job.threads)
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    count = max(1, cores // job.threads)
    if not there or not _only_cpu(job.device):
        count = 1
    return WorkersChoice(count, threads=job.threads)


def check_scheduler(address: str, trusted: bool) -> None:
    """Refuse an address that is none, or that leads off this machine without TLS.

    Dask unpickles what it receives: whoever can send to scheduler or workers can run programs
    there.

    Raises
    ------
    BadInput
        If it is refused.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        port, host = parts.port, parts.hostname
    except ValueError:
        port, host = None, None
    if parts.scheme not in ("tcp", "tls") or not host or port is None:
        raise BadInput(
            f"{address!r} is no address of a dask scheduler; it looks like tcp://127.0.0.1:8786 "
            "or tls://host:8786."
        )
    if parts.scheme != "tls" and not trusted and not is_loopback(host):
        raise BadInput(
            f"The scheduler {address} is on another machine and does not use TLS, so that anybody "
            "on the network could run programs there; use a tls:// address, or --trust-network "
            "where the network is trusted."
        )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _need_extra(there: bool) -> None:
    if not there:
        raise BadInput(
            "Several workers need dask, which is not installed; install it with "
            'pip install "napari-ssl-muscle[cluster]", or leave --workers and --scheduler out.'
        )


def _only_cpu(device: str | None) -> bool:
    """Return whether trainings compute on the CPU; several on one GPU would only be in its way."""
    if device is not None and device != "auto":
        return device == "cpu"
    from napari_ssl_muscle.learning.training.device import choose_device

    return choose_device("auto").type == "cpu"
