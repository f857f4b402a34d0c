"""Programs that wait on everything that asyncio and AnyIO have to wait on; each line that matters has a mark of its own in its comment."""

WAITS = """
import asyncio, sys

async def hold(sem):
    async with sem:  # at-semaphore
        await asyncio.sleep(0.004)  # at-sleep

async def consume(queue):
    while True:
        await queue.get()  # at-get
        await asyncio.sleep(0.002)
        queue.task_done()

async def guard(lock):
    async with lock:  # at-lock
        await asyncio.sleep(0.002)

async def notify(condition):
    async with condition:
        condition.notify_all()

async def meet(barrier):
    await barrier.wait()  # at-barrier

async def nothing():
    pass

async def main():
    loop = asyncio.get_running_loop()
    sem = asyncio.BoundedSemaphore(2)
    await asyncio.gather(*(hold(sem) for _ in range(4)))  # at-gather
    queue = asyncio.PriorityQueue(maxsize=1)
    consumer = asyncio.create_task(consume(queue))  # made-consumer
    for number in range(3):
        await queue.put(number)  # at-put
    await queue.join()  # at-join
    consumer.cancel()
    held = asyncio.create_task(hold(sem))  # made-held
    await held  # at-task
    lock = asyncio.Lock()
    await asyncio.wait([loop.create_task(guard(lock)) for _ in range(2)])  # at-wait
    for done in asyncio.as_completed([hold(sem), hold(sem)]):
        await done  # at-completed
    await asyncio.to_thread(sum, [1, 2])  # at-thread
    await loop.run_in_executor(None, sum, [1, 2])  # at-executor
    event = asyncio.Event()
    loop.call_later(0.003, event.set)
    await event.wait()  # at-event
    condition = asyncio.Condition()
    async with condition:
        asyncio.ensure_future(notify(condition))  # made-notifier
        await condition.wait()  # at-condition
    future = loop.create_future()
    loop.call_later(0.003, future.set_result, None)
    await future  # at-future
    shielded = asyncio.create_task(hold(sem))  # made-shielded
    await asyncio.shield(shielded)  # at-shield
    called = loop.create_future()
    last = asyncio.create_task(hold(sem))  # made-last
    last.add_done_callback(lambda task: called.set_result(None))
    await called  # at-called-back
    # nothing of this waits
    async with sem:
        await queue.put(1)
        await queue.get()
        await held
        await lock.acquire()
        event.set()
        await event.wait()
        await asyncio.sleep(0)
        await future
    print(await asyncio.gather())
    if sys.version_info >= (3, 11):
        async with asyncio.TaskGroup() as group:  # at-group
            group.create_task(hold(sem))
            group.create_task(hold(sem))  # made-last-of-group
        barrier = asyncio.Barrier(2)
        await asyncio.gather(meet(barrier), meet(barrier))  # made-met
"""

ANYIO = """
import anyio, anyio.to_thread, sys

async def work(sem, limiter, lock):
    async with sem:  # at-semaphore
        await anyio.sleep(0.004)  # at-sleep
    async with limiter:  # at-limiter
        await anyio.sleep(0.004)
    async with lock:  # at-lock
        await anyio.sleep(0.008)

async def main():
    sem, limiter, lock = anyio.Semaphore(2), anyio.CapacityLimiter(2), anyio.Lock()
    event = anyio.Event()
    async with anyio.create_task_group() as group:  # at-group
        for _ in range(4):
            group.start_soon(work, sem, limiter, lock)  # made-work
    await anyio.to_thread.run_sync(sum, [1, 2])  # at-thread
    async with anyio.create_task_group() as group:
        group.start_soon(event.wait)  # made-waiting
        await anyio.sleep(0.002)
        event.set()
    sem.acquire_nowait()
    lock.acquire_nowait()
    print(anyio.CapacityLimiter(3).available_tokens)

anyio.run(main, backend="asyncio", backend_options={"use_uvloop": sys.argv[1] == "uvloop"})
"""

#: a program that looks at what it has been given; it must print the same without the instruments
LOOKS = """
import asyncio, contextvars, gc, inspect, sys, weakref

who = contextvars.ContextVar("who", default="nobody")

async def ends():
    who.set("the one that ends")
    await asyncio.sleep(0)

async def sleeper(seconds):
    await asyncio.sleep(seconds)
    return seconds

async def fails():
    await asyncio.sleep(0.001)
    raise ValueError("planted")

class Own(asyncio.Semaphore):
    async def acquire(self):
        print("own acquire")
        return await super().acquire()

async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(sleeper(0.001), name="named")
    print(isinstance(task, asyncio.Task), type(task).__name__, type(task).__module__, task.get_name(), len(asyncio.all_tasks()))
    print(repr(task).partition(" coro")[0], await task, task.result())
    seen = weakref.ref(task)
    del task
    gc.collect()
    print(seen() is None)
    for function in (asyncio.Semaphore.acquire, asyncio.Queue.get, asyncio.Event.wait, asyncio.sleep, asyncio.wait):
        print(inspect.iscoroutinefunction(function), function.__qualname__, inspect.signature(function))
    sem = Own(1)
    waiting = [asyncio.create_task(sem.acquire(), name=str(number)) for number in range(4)]
    await asyncio.sleep(0.001)
    waiting[1].cancel()
    for number in range(2):
        sem.release()
        await asyncio.sleep(0)
    print([(each.get_name(), each.done(), each.cancelled()) for each in waiting], sem.locked())
    waiting[3].cancel()
    print(await asyncio.gather(*waiting[:3], fails(), return_exceptions=True))
    try:
        await asyncio.wait_for(sleeper(9), 0.002)
    except asyncio.TimeoutError:
        print("late")
    try:
        await asyncio.gather(fails(), sleeper(0.002))
    except ValueError as error:
        print(error, [frame.name for frame in __import__("traceback").extract_tb(error.__traceback__)])
    future = loop.create_future()
    print(isinstance(future, asyncio.Future), type(future).__name__, asyncio.isfuture(future), future)
    queue = asyncio.LifoQueue()
    got = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    got.cancel()
    queue.put_nowait(7)
    print(await queue.get(), got.cancelled())
    stopped = asyncio.create_task(asyncio.sleep(9))
    await asyncio.sleep(0)
    stopped.cancel("why")
    print(await asyncio.wait([stopped]) == ({stopped}, set()))
    called = []
    who.set("the one that adds")
    task, future, gathered = asyncio.create_task(ends()), loop.create_future(), asyncio.gather(ends(), ends())
    for each in (task, future, gathered):
        each.add_done_callback(lambda _: called.append(who.get()))
    who.set("somebody else")
    future.set_result(None)
    await asyncio.wait([task, gathered])
    await asyncio.sleep(0)
    print(called)
    doomed = asyncio.create_task(asyncio.sleep(9))
    await asyncio.sleep(0)
    loop.call_soon(doomed.cancel)
    print(await asyncio.wait([doomed], timeout=1) == ({doomed}, set()), doomed.cancelled())
"""

#: AnyIO's semaphore, entered by code that no task runs
DRIVEN = """
import anyio, asyncio, sys

def drive(sem):
    try:
        sem.acquire().send(None)
    except StopIteration:
        print("entered", sem.value)

async def main():
    asyncio.get_running_loop().call_soon(drive, anyio.Semaphore(2, fast_acquire=True))
    await asyncio.sleep(0.001)
"""
