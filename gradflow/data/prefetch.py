"""Calls made ahead of time by threads, their results in order.

Threads serve here where PyTorch has processes: what they do is NumPy's copying, which lets other threads work.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Future

POLL = 1.0  # seconds between looks at whether the threads still live
PATIENCE = 5.0  # seconds that closing waits for what a thread is at


class Workers:
    """`count` threads that make the calls they are given, the oldest first, until `close`, or until nobody has this.

    start(number) is called in each thread first; where it raises, so do all calls of that thread.
    """

    def __init__(self, count: int, start: Callable[[int], None] | None = None) -> None:
        self._calls: SimpleQueue[Any] = SimpleQueue()
        self.threads = [
            threading.Thread(
                target=_serve, args=(self._calls, start, number), name=f"gradflow-loader-{number}", daemon=True
            )
            for number in range(count)
        ]
        self._end = weakref.finalize(self, _dismiss, self._calls, count)  # the threads hold the queue, not this
        try:
            for thread in self.threads:
                thread.start()
        except BaseException:
            self._end()
            raise

    def submit(self, work: Callable[[Any], Any], argument: Any) -> Future[Any]:
        """Have work(argument) called."""
        from concurrent.futures import Future

        future: Future[Any] = Future()
        self._calls.put((future, work, argument))
        return future

    def result(self, future: Future[Any], timeout: float = 0) -> Any:
        """What a call returned; what it raised is raised. RuntimeError after `timeout` seconds, if that is not 0."""
        from concurrent.futures import wait

        end = monotonic() + timeout if timeout > 0 else None
        while not future.done():
            left = POLL if end is None else min(POLL, end - monotonic())
            if left <= 0:
                raise RuntimeError(f"[DataLoader] no batch came within the timeout of {timeout:g} seconds")
            whole = self.whole()  # asked before the wait: a thread may end once it has done its work
            if wait([future], left).not_done and not whole:
                raise RuntimeError("[DataLoader] a worker thread has ended without a result; iterate again")
        return future.result()

    def whole(self) -> bool:
        """Whether all threads are there: nothing but `close` should end them."""
        return all([thread.is_alive() for thread in self.threads])

    def close(self) -> None:
        """Have the threads end, and wait for that, unless what they are at takes long."""
        self._end()
        end = monotonic() + PATIENCE
        for thread in self.threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(max(0.0, end - monotonic()))


def in_order(
    workers: Workers, work: Callable[[Any], Any], arguments: Iterator[Any], ahead: int, timeout: float = 0
) -> Iterator[Any]:
    """work(a) for each argument, in order, `ahead` of them begun before the first is asked for.

    What an argument's making or its call raises is raised in its turn.
    """
    waiting: deque[Future[Any]] = deque()
    calls = _calls(workers, work, arguments)
    try:
        waiting.extend(islice(calls, ahead))
        while waiting:
            result = workers.result(waiting.popleft(), timeout)
            waiting.extend(islice(calls, 1))
            yield result
    finally:
        for future in waiting:
            future.cancel()


def _calls(workers: Workers, work: Callable[[Any], Any], arguments: Iterator[Any]) -> Iterator[Future[Any]]:
    from concurrent.futures import Future

    try:
        for argument in arguments:
            yield workers.submit(work, argument)
    except Exception as error:
        failed: Future[Any] = Future()
        failed.set_exception(error)
        yield failed


def _serve(calls: SimpleQueue[Any], start: Callable[[int], None] | None, number: int) -> None:
    failure: BaseException | None = None
    try:
        if start is not None:
            start(number)
    except BaseException as error:
        failure = error
    while (call := calls.get()) is not None:
        future, work, argument = call
        if future.set_running_or_notify_cancel():
            try:
                if failure is not None:
                    raise failure
                result = work(argument)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
                del result
        del call, future, work, argument  # nothing of a batch is kept while waiting for the next


def _dismiss(calls: SimpleQueue[Any], count: int) -> None:
    for _ in range(count):
        calls.put(None)
