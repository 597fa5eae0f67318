"""Ways beside one another: each in a process of its own, one at a time, by turns, the best counts.

In one process ways get in each other's way: our runtime tells malloc what to keep, and the plain
way would gain by it; an engine's threads wait actively while torch works; what one leaves in the
caches is the next one's loss. With a process for each, every way runs as it would alone, and
because they take turns within seconds, whatever slows the machine slows all of them. The first pass
only warms up. Several passes make a turn, so that caches are one's own again; the best of all
counts, which is the pass that least else was going on beside.
"""

import timeit
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

from rows import Cell, Results, say

PATIENCE = 30.0
"""Seconds for each way; at least one turn is taken however long it takes."""

TURNS, ROW = 5, 3
"""Turns, and passes in each, where there is time."""


ENDED = "the process was ended, perhaps for want of memory"


def compare(results: Results, groups: Iterable[Sequence[Cell]], patience: float = PATIENCE) -> None:
    """Time the cells of each group beside one another, all of them where one is missing."""
    for group in groups:
        if any(results.missing(group)):
            for cell, figures in timed(group, patience).items():
                say(results.add(cell, figures))


def timed(cells: Sequence[Cell], patience: float = PATIENCE) -> dict[Cell, dict[str, float]]:
    """Seconds of every cell; those that fail are told and left out."""
    with workers(len(cells)) as pipes:
        able, first = {}, {}
        for cell, pipe in zip(cells, pipes, strict=True):
            answer = asked(pipe, (cell, 1))
            if isinstance(answer, str):
                print(f"{cell.method} {cell.way} {cell.size}: {answer}", flush=True)
            else:
                able[cell], first[cell] = pipe, answer
        if not able:
            return {}
        slowest = max(seconds for seconds, _ in first.values())
        row = ROW if slowest * ROW * 2 < patience else 1
        turns = max(1, min(TURNS, int(patience / (row * slowest))))
        best = dict.fromkeys(able, float("inf"))
        for _ in range(turns):
            for cell, pipe in able.items():
                answer = asked(pipe, (cell, row))
                if isinstance(answer, str):
                    raise RuntimeError(f"{cell.method} {cell.way} {cell.size}: {answer}")
                best[cell] = min(best[cell], answer[0])
    return {cell: _figures(cell, best[cell], *first[cell]) for cell in able}


def _figures(cell: Cell, best: float, first: float, times: float) -> dict[str, float]:
    figures = {"seconds": best * times}
    if times != 1:
        figures |= {"timed_share": 1 / times}
    if cell.way == "openvino":
        figures |= {"start_seconds": max(0.0, first - best)}
    return figures


@contextmanager
def workers(count: int) -> Iterator[list[Connection]]:
    """Processes that are asked for passes, one for each way."""
    context = get_context("spawn")
    pairs = [context.Pipe() for _ in range(count)]
    processes = [context.Process(target=serve, args=(pipe,), daemon=True) for _, pipe in pairs]
    for process, (_, theirs) in zip(processes, pairs, strict=True):
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
    try:
        yield [pipe for pipe, _ in pairs]
    finally:
        for process in processes:
            process.terminate()
            process.join()


def asked(pipe: Connection, question: tuple[Cell, int]) -> tuple[float, float] | str:
    """The best of so many passes in seconds and how many make the whole, or why there is none."""
    pipe.send(question)
    try:
        answer: tuple[float, float] | str = pipe.recv()
    except EOFError:
        answer = ENDED
    return answer


def serve(pipe: Connection) -> None:
    """Do passes as asked for; the first question says of what."""
    from suite.passes import prepared

    work = None
    with suppress(EOFError, KeyboardInterrupt):  # nobody asks any more
        while True:
            cell, times = pipe.recv()
            try:
                work = work or prepared(cell)
                pipe.send((min(timeit.repeat(work.work, number=1, repeat=times)), work.times))
            except Exception as error:  # whatever it is, the others go on
                pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")


def weighed(cells: Iterable[Cell]) -> Iterator[tuple[Cell, float]]:
    """Most memory that a fresh process holds for each cell, in MB."""
    context = get_context("spawn")
    for cell in cells:
        ours, theirs = context.Pipe()
        process = context.Process(target=weigh, args=(theirs, cell), daemon=True)
        process.start()
        theirs.close()
        try:
            answer = ours.recv()
        except EOFError:
            answer = ENDED
        process.join()
        if isinstance(answer, str):
            print(f"{cell.method} {cell.way} {cell.size}: {answer}", flush=True)
        else:
            yield cell, answer


def weigh(pipe: Connection, cell: Cell) -> None:
    """Do one pass and say what it took."""
    from suite.passes import prepared

    from impasto.estimate import peak_mb

    try:
        prepared(cell).work()
        pipe.send(peak_mb())
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}")
