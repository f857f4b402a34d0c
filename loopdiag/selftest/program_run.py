"""How a script of the self-test is run: its own server is started, and the program is a user's, who knows nothing but its address."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from loopdiag.model.program import Place
from loopdiag.model.scenario import Arm, Program, Scenario, Target

SCRIPTS = Path(__file__).parent / "programs"
MARK = "# <- here"
CARRIER = "httpx/asyncio"  # a scenario needs an arm while its target is read; the program takes its place
OWN = Arm(client="program", loop="own")


def path_of(script: str) -> Path:
    """The file of a script."""
    return SCRIPTS / f"{script}.py"


def marked(script: str) -> frozenset[int]:
    """The numbers of the lines that have to be changed; none where the program is not at fault."""
    lines = path_of(script).read_text(encoding="utf-8").splitlines()
    return frozenset(number for number, line in enumerate(lines, 1) if line.endswith(MARK))


def names_line(script: str, place: Place | None) -> bool:
    """Whether a place is one of the script's marked lines."""
    return place is not None and Path(place.file).name == path_of(script).name and place.line in marked(script)


def programmed(carrier: Scenario, script: str, arguments: tuple[str, ...]) -> Scenario:
    """The scenario of a server with the script in place of its arms; interpreter, folder and address are filled in when it runs."""
    return replace(carrier, arms=(OWN,), program=Program(argv=("python", f"{script}.py", *arguments)))


@contextmanager
def served(scenario: Scenario) -> Iterator[Scenario]:
    """Run the server of a program's scenario, and give what its user would measure: the same without the server's secrets.

    Raises:
        InputError: the server cannot play what is asked.
        TargetDied: it does not come up.
    """
    from loopdiag.lab.environment import client_and_server_cores
    from loopdiag.lab.servers.process import TargetServer

    program = scenario.program
    assert program is not None
    _, cores = client_and_server_cores()
    with TargetServer.start(replace(scenario, program=None), cores=cores) as server:
        filled = {"{url}": server.url, "{ca}": str(server.ca_file)}
        script, *arguments = program.argv[1:]
        argv = (sys.executable, str(SCRIPTS / script), *(filled.get(argument, argument) for argument in arguments))
        yield replace(scenario, target=Target(), program=replace(program, argv=argv))
