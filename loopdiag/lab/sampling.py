"""Whether py-spy may look into a process of ours, found out by trying it."""

import os
import shutil
import subprocess
import sys
import sysconfig

from loopdiag.lab import machine

CAP_SYS_PTRACE = 19
TRY_S = 3.0  # it takes a tenth of that; more only where the machine is very busy
CHILD = "import sys; print(flush=True); sys.stdin.read()"  # ends when our end of its input closes, whatever becomes of us


def sampling() -> tuple[bool | None, str, str]:
    """Try py-spy on a child; return whether it works (None: unknown), what was found, and a remedy of one line."""
    command = py_spy()
    if command is None:
        return False, "not installed: no profile tier", "pip install py-spy"
    try:
        failure = _try(command)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"could not be tried: {type(error).__name__}", "try it by hand: py-spy dump --pid PID"
    if failure is None:
        return True, f"may look into processes of ours ({permission()})", ""
    return False, f"may not look into processes of ours ({permission()}): {failure}", remedy()


def py_spy() -> str | None:
    """Return the path of the py-spy that belongs to this Python, else of the first on PATH."""
    beside = os.pathsep.join((sysconfig.get_path("scripts"), os.path.dirname(sys.executable)))  # noqa: PTH120 - shutil.which wants text
    return shutil.which("py-spy", path=beside) or shutil.which("py-spy")


def permission() -> str:
    """Say what the kernel's rules for tracing are here."""
    scope = machine.numbers("proc/sys/kernel/yama/ptrace_scope")
    rule = "no Yama" if scope is None else f"ptrace_scope {scope[0]}"
    capable = _capable()
    return rule if capable is None else f"{rule}, {'with' if capable else 'without'} CAP_SYS_PTRACE"


def remedy() -> str:
    """Return what to do so that py-spy may look."""
    scope = machine.numbers("proc/sys/kernel/yama/ptrace_scope")
    if scope is not None and scope[0] in {1, 2}:
        return "sudo sysctl kernel.yama.ptrace_scope=0, or run as root; in a container add --cap-add SYS_PTRACE"
    if scope is not None and scope[0] == 3:
        return "ptrace_scope 3 holds until the next boot: set kernel.yama.ptrace_scope=0 in sysctl.conf and boot"
    return "run as root, or in a container with --cap-add SYS_PTRACE"


def _capable() -> bool | None:
    """Whether this process has CAP_SYS_PTRACE; None where the kernel does not say."""
    for line in (machine.text("proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_PTRACE & 1)
    return None


def _try(command: str) -> str | None:
    """Dump a child's stack once; return None, or py-spy's own words for why not."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            done = subprocess.run(
                [command, "dump", "--pid", str(child.pid)], capture_output=True, text=True, errors="replace", timeout=TRY_S, check=False
            )
        finally:
            child.kill()
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return (lines or ["it says nothing"])[0].removeprefix("Error: ")
