"""The inside of a box: what the child process does with the lines that it is sent."""

import _thread
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import Queue
from typing import Any

from impasto.errors import ImpastoError, OutOfMemory, for_want_of_memory

Message = dict[str, Any]
Work = Callable[[Message, Callable[[Message], None]], Message]


def begin(work: str) -> None:
    """Do what comes until nothing more does; it ends with the process that started it.

    work: ``module:function``, see ``Box``
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(OSError):  # Linux: when memory runs out, this one goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever prints, prints to the log
    module, _, name = work.partition(":")
    inside = _Inside(answers)
    threading.Thread(target=inside.listen, daemon=True).start()
    inside.serve(getattr(import_module(module), name)())


class _Inside:
    """One task at a time, and the ear for the word to stop."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.tasks: Queue[Message] = Queue()
        self.busy = False
        self.lock = threading.Lock()

    def listen(self) -> None:
        try:
            for line in sys.stdin.buffer:
                message = json.loads(line)
                if "task" in message:
                    self.tasks.put(message["task"])
                    continue
                with self.lock:
                    if self.busy:
                        _interrupt()
        finally:  # half a line, too: who spoke is gone
            os._exit(0)

    def serve(self, work: Work) -> None:
        while True:
            task = self.tasks.get()
            try:
                answer = self._done(work, task)
            except KeyboardInterrupt:
                self.busy = False
                answer = {"error": {"kind": "Stopped", "text": "Stopped."}}
            self._tell(answer)

    def _done(self, work: Work, task: Message) -> Message:
        with self.lock:
            self.busy = True
        try:
            return {"done": work(task, self._tell)}
        except ImpastoError as error:
            return {"error": {"kind": type(error).__name__, "text": str(error)}}
        except Exception as error:
            if for_want_of_memory(error):
                text = "There was not enough memory: try a smaller size."
                return {"error": {"kind": OutOfMemory.__name__, "text": text}}
            traceback.print_exc()
            text = f"This should not have happened: {type(error).__name__}."
            return {"error": {"kind": ImpastoError.__name__, "text": text}}
        finally:
            with self.lock:
                self.busy = False

    def _tell(self, message: Message) -> None:
        """A line of its own, even after one that was interrupted half-way."""
        data = b"\n" + json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(self.answers, data) :]


def _interrupt() -> None:
    """KeyboardInterrupt in the main thread, also when it sleeps."""
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
