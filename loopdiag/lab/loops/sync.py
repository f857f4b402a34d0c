"""No loop: one request after the other, in the program's only thread."""

import time

from loopdiag.lab.blocking_work import BlockingWork, Made, handed_out, outcome
from loopdiag.lab.clients import BlockingClient
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops import BuiltInLoop
from loopdiag.lab.loops.blocking import observe, opened
from loopdiag.lab.measuring import Timed, urls_of


class SyncLoop(BuiltInLoop):
    """A ``for`` loop around a blocking client, whatever concurrency the scenario asks for."""

    @staticmethod
    def runner(client_class: type[BlockingClient], job: Job) -> WorkerReport:
        """Do the whole job."""
        marks = observe(job)
        client, setup_ns = opened(client_class, job)
        work = BlockingWork(client, urls_of(job), job.scenario.workload, marks)
        made: list[Made] = []

        def one(number: int, due_ns: int, created_ns: int) -> None:
            made.append(work.request(number, due_ns, created_ns))

        timed = Timed(job)
        timed.begin()
        t0 = handed_out(job, one)
        t1 = time.perf_counter_ns()
        timed.end()
        client.close()
        return timed.report(outcome(t0, t1, made), setup_ns)
