"""What a command line asks for, as a scenario."""

import argparse

from msgspec.structs import replace

from loopdiag import pipeline
from loopdiag.lab.program_start import program_scenario, with_enough_values
from loopdiag.lab.scenario_file import apply_overrides, load_scenario
from loopdiag.model.scenario import Scenario


def of_run(arguments: argparse.Namespace, *, verified: bool) -> Scenario:
    """The scenario file with the command line's values; where it will be `verified`, that keeps its part of --budget.

    Raises:
        InputError: the file, or an option, is wrong.
    """
    asked = load_scenario(arguments.scenario)
    scenario = apply_overrides(asked, n=arguments.n, arms=arguments.arm, budget=arguments.budget)
    if not verified:
        return scenario
    if arguments.no_verify:
        return replace(scenario, verify=replace(scenario.verify, enabled=False))
    return scenario if arguments.budget is None else pipeline.shared(scenario, asked)


def of_program(command: list[str], *, n: str, budget: str, level: str = "light", verified: bool = True) -> Scenario:
    """The scenario of a user's own program.

    Args:
        command: its command line.
        n: numbers of requests, as --n gives them.
        budget: of measuring and verifying together, as --budget gives it.
        level: how much is watched.
        verified: whether causes are verified.

    Raises:
        InputError: the command line, or an option, is wrong.
    """
    plain = program_scenario(command)
    asked = replace(plain, instruments=replace(plain.instruments, level=level), verify=replace(plain.verify, enabled=verified))
    return pipeline.shared(with_enough_values(apply_overrides(asked, n=n, arms=None, budget=budget)), plain)
