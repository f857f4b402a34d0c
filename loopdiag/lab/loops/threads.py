"""A pool of threads, each of which makes one request at a time: ``ThreadPoolExecutor``."""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

from loopdiag.lab.blocking_work import BlockingWork, Made, handed_out, outcome, workers
from loopdiag.lab.clients import BlockingClient
from loopdiag.lab.job import Job, WorkerReport
from loopdiag.lab.loops import BuiltInLoop
from loopdiag.lab.loops.blocking import SEVERAL, observe, opened
from loopdiag.lab.measuring import Timed, urls_of


class ThreadsLoop(BuiltInLoop):
    """Eight threads, or as many as the scenario's concurrency says, and one client that they share."""

    @staticmethod
    def runner(client_class: type[BlockingClient], job: Job) -> WorkerReport:
        """Do the whole job; the pool's threads are started in the timed part, with its first calls, as in any program."""
        marks = observe(job)
        client, setup_ns = opened(client_class, job)
        work = BlockingWork(client, urls_of(job), job.scenario.workload, marks)
        futures: list[Future[Made]] = []
        with ThreadPoolExecutor(workers(job.scenario.workload)) as pool:

            def submit(number: int, due_ns: int, created_ns: int) -> None:
                futures.append(pool.submit(work.request, number, due_ns, created_ns))

            timed = Timed(job, waits=SEVERAL)
            timed.begin()
            t0 = handed_out(job, submit)
            wait(futures)
            t1 = time.perf_counter_ns()
            timed.end()
        client.close()
        return timed.report(outcome(t0, t1, (future.result() for future in futures)), setup_ns)
