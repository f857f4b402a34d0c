"""The target's process: how it is started, watched, ended, and what becomes of it when somebody dies."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from server_parts import client, gone, port_of, scenario, stat_cores, stderr_of

from loopdiag.errors import InputError, TargetDied
from loopdiag.lab.servers.process import TargetServer
from loopdiag.model.scenario import Payload, Service

PATIENCE_S = 20.0


def wait_for(pid: int) -> bool:
    """Whether the process ends within our patience."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if gone(pid):
            return True
        time.sleep(0.01)
    return False


def test_the_process_is_as_it_was_asked_for() -> None:
    # pinned, all descriptors that it may have, a private folder, CPU that only grows; stopping twice is stopping once
    core = min(os.sched_getaffinity(0))
    server = TargetServer.start(scenario(tls="ecdsa-p256"), cores=(core,))
    assert stat_cores(server.pid) == {core}
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
    assert server.ca_file is not None
    folder = server.ca_file.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert server.url == f"https://localhost:{port_of(server)}"
    before = server.cpu_ns()
    with client(server) as http:
        http.get("/1")
    assert 0 < before < server.cpu_ns()
    assert server.alive()
    server.stop()
    server.stop()
    assert not server.alive()
    assert gone(server.pid)
    assert not folder.exists()
    assert server.cpu_ns() > before
    with pytest.raises(TargetDied, match="stopped"):
        server.collect(None)


def test_cpu_is_that_of_the_whole_process() -> None:
    # the clock agrees with the kernel's own count, which has ticks of 10 ms
    with TargetServer.start(scenario()) as server:
        ours = server.cpu_ns() / 1e9
        fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        assert ours <= server.cpu_ns() / 1e9
        assert ticks == pytest.approx(ours, abs=0.1)


def test_a_taken_port_is_the_users_to_know() -> None:
    # one line: which port, and what would be right; on either address
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as other:
            try:
                other.bind((address, 0))
            except OSError:
                continue  # no IPv6 here; then the target does not listen there either
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(InputError, match=f"port {port} is taken; another port, or 0 for any free one, would be right"):
                TargetServer.start(scenario(), port=port)


def test_a_given_port_is_used_again_and_again() -> None:
    # a target that was stopped leaves its port at once, though it had connections
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for _ in range(2):
        with TargetServer.start(scenario(service=Service(keep_alive=False)), port=port) as server, client(server) as http:
            assert port_of(server) == port
            assert http.get("/1").status_code == 200


def test_all_wrong_tables_are_told_at_once(tmp_path: Path) -> None:
    # faults of the child come as InputError, and no process stays
    planned = scenario(
        service=Service(law="table", table=str(tmp_path / "a.csv")), payload=Payload(law="table", table=str(tmp_path / "b.csv"))
    )
    with pytest.raises(InputError) as caught:
        TargetServer.start(planned)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["target.service.table", "target.payload.table"]


def test_a_killed_target_is_reported() -> None:
    # SIGKILL between two collections: not alive, TargetDied with how, and stop still cleans up
    with TargetServer.start(scenario(tls="ecdsa-p256")) as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(TargetDied, match=f"process {server.pid}.* has ended by signal 9"):
            server.collect(None)
        assert not server.alive()
        assert server.ca_file is not None
    assert not server.ca_file.exists()


def test_a_target_that_hangs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    # no answer within the time-out; stop ends it all the same
    monkeypatch.setattr("loopdiag.lab.servers.process.REPLY_TIMEOUT_S", 0.1)
    monkeypatch.setattr("loopdiag.lab.servers.process.STOP_TIMEOUT_S", 0.1)
    with TargetServer.start(scenario()) as server:
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(TargetDied, match=r"has not answered for 0\.1 s"):
            server.collect(None)
    assert not server.alive()


def test_the_last_words_of_a_target_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # a child that cannot even begin: its stderr's last lines stand in the error
    (tmp_path / "uvloop.py").write_text("raise RuntimeError('planted')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TargetDied) as caught:
        TargetServer.start(scenario())
    assert "exit code 1" in caught.value.faults[0]
    assert caught.value.faults[-1] == "RuntimeError: planted"


def test_modules_of_the_working_folder_are_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # a user's ssl.py beside the scenario is not imported
    (tmp_path / "ssl.py").write_text("raise RuntimeError('planted')")
    monkeypatch.chdir(tmp_path)
    with TargetServer.start(scenario()) as server:
        assert server.alive()


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_an_interrupt_is_the_parents_to_decide(http: str) -> None:
    # SIGINT leaves it alone
    with TargetServer.start(scenario(http=http)) as server, client(server) as client_:
        os.kill(server.pid, signal.SIGINT)
        assert client_.get("/1").status_code == 200
        assert server.collect(None).requests == 1
        assert stderr_of(server) == ""


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_it_never_outlives_its_parent(http: str) -> None:
    # the parent is killed with SIGKILL while requests are in service: the target ends and takes its folder away
    code = (
        "import sys, time; from server_parts import scenario; from loopdiag.model.scenario import Service;"
        "from loopdiag.lab.servers.process import TargetServer;"
        f"server = TargetServer.start(scenario(http={http!r}, tls='ecdsa-p256', service=Service(mean_ms=60_000)));"
        "print(server.pid, server.url, server.ca_file, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    assert parent.stdout is not None
    pid, url, ca_file = parent.stdout.readline().split()
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))):
        parent.kill()
        parent.wait()
        parent.stdout.close()
        assert wait_for(int(pid))
    assert not Path(ca_file).parent.exists()


def test_collections_are_written_and_forgotten(tmp_path: Path) -> None:
    # each has its own rows; a folder that cannot be written loses none
    with TargetServer.start(scenario()) as server, client(server) as http:
        http.get("/1")
        http.get("/2")
        with pytest.raises(OSError, match="No such file") as caught:
            server.collect(tmp_path / "nowhere")
        assert caught.value.filename == str(tmp_path / "nowhere")
        assert server.collect(tmp_path).requests == 2
        assert np.load(tmp_path / "server_requests.npy")["request"].tolist() == [1, 2]
        http.get("/3")
        assert server.collect(tmp_path).requests == 1
        assert np.load(tmp_path / "server_requests.npy")["request"].tolist() == [3]
        assert server.collect(None).requests == 0


def test_a_relative_folder_is_the_parents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # the caller's working folder counts, not the child's
    with TargetServer.start(scenario()) as server:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "here").mkdir()
        server.collect(Path("here"))
    assert (tmp_path / "here" / "server_requests.npy").exists()


def test_stamps_are_on_the_clock_of_the_caller(tmp_path: Path) -> None:
    # client send ≤ server received ≤ begun ≤ client has the answer, on one clock across processes
    with TargetServer.start(scenario()) as server, client(server) as http:
        before = time.perf_counter_ns()
        http.get("/1")
        after = time.perf_counter_ns()
        server.collect(tmp_path)
    (row,) = np.load(tmp_path / "server_requests.npy")
    assert before < row["received_ns"] <= row["begun_ns"] < after
