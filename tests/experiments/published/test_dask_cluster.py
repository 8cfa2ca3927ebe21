"""Trials on real dask clusters: a lost worker, who can connect, and what is refused."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from napari_ssl_muscle.actions import run_job
from napari_ssl_muscle.errors import BadInput
from napari_ssl_muscle.experiments.published.workers.choice import check_scheduler
from napari_ssl_muscle.jobs.settings import ExperimentsJob
from napari_ssl_muscle.learning.events import Event, Note, Progress, Started
from tests.experiments.published.conftest import toy_job

pytest.importorskip("distributed", reason="needs the extra 'cluster'")

Table = Callable[[Path], list[dict[str, str]]]


def listening(process: psutil.Process) -> set[str]:
    """Return the addresses on which a process and its children listen."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        for connection in one.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add(connection.laddr.ip)
    return found


def test_a_lost_worker_changes_nothing_and_all_listen_on_loopback_only(
    finished: Path, toy_cohort: Path, tmp_path: Path, table: Table
) -> None:
    out, addresses, killed = tmp_path / "out", set(), []
    before = listening(psutil.Process())

    def emit(event: Event) -> None:
        if not isinstance(event, Progress) or killed or event.done < 1:
            return
        addresses.update(listening(psutil.Process()))
        for child in psutil.Process().children(recursive=True):
            if "spawn_main" in " ".join(child.cmdline()):
                killed.append(child.pid)
                os.kill(child.pid, signal.SIGKILL)
                return

    run_job(toy_job(toy_cohort, out, experiment=[1], workers=2), emit)
    assert killed
    assert addresses - before == {"127.0.0.1"} - before
    assert table(out) == [row for row in table(finished) if row["experiment"] in ("0", "1")]
    assert not (out / ".stop").exists()


def test_a_stopped_cluster_leaves_runs_that_go_on(
    toy_cohort: Path, tmp_path: Path, table: Table
) -> None:
    from distributed import Client, LocalCluster

    out, asked = tmp_path / "out", []
    job = toy_job(toy_cohort, out, experiment=[0], only=["lr=0.006"])

    def emit(event: Event) -> None:
        if isinstance(event, Progress):
            asked.append(True)

    settings = {"n_workers": 1, "processes": False, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(host="127.0.0.1", protocol="tcp://", **settings) as cluster, Client(cluster):
        joined = job.model_copy(update={"workers": None, "scheduler": cluster.scheduler_address})
        events: list[Event] = []
        run_job(joined, lambda event: (emit(event), events.append(event))[1], lambda: bool(asked))
        assert len(table(out)) < 2
        run_job(joined, events.append)
    assert len(table(out)) == 2
    assert any(isinstance(event, Started) and "tcp://" in event.device for event in events)
    assert not any(isinstance(event, Note) for event in events)


def test_a_scheduler_that_is_not_there_is_said(toy_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = toy_job(toy_cohort, out, workers=None, scheduler="tcp://127.0.0.1:1")
    with pytest.raises(BadInput, match=r"127\.0\.0\.1:1 cannot be reached"):
        run_job(job)
    assert not out.exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "localhost:8786", "tls://far:8786"])
def test_loopback_and_tls_need_no_word(address: str) -> None:
    check_scheduler(address, trusted=False)


def test_another_machine_needs_tls_or_trust() -> None:
    with pytest.raises(BadInput, match="--trust-network"):
        check_scheduler("tcp://10.0.0.5:8786", trusted=False)
    check_scheduler("tcp://10.0.0.5:8786", trusted=True)
    with pytest.raises(BadInput, match="no address of a dask scheduler"):
        check_scheduler("far", trusted=True)


def test_without_dask_one_process_does_it(
    toy_cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ssl_muscle.experiments.published.workers import choice

    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    usual = ExperimentsJob(cohort=toy_cohort, out=tmp_path)
    assert choice.choose_workers(usual).count == 1
    with pytest.raises(BadInput, match=r"napari-ssl-muscle\[cluster\]"):
        choice.choose_workers(usual.model_copy(update={"workers": 2}))
