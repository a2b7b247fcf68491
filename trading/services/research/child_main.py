"""The process in which a strategy of one's own runs: no database, no network, no files of others.

Started by :mod:`trading.services.research.child` with an empty environment.  The request comes on
standard input (a JSON line, then candles as npz), the answer leaves on the first standard output;
what the strategy prints goes to standard error.  Each question is answered in a fork of its own.
In the mode ``stream`` the process itself runs one strategy as long as its parent lives and answers
one line for each candle.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import resource
import select
import sys
import types
from dataclasses import asdict, fields, is_dataclass
from typing import Any, BinaryIO

MODULE = "own_strategy"
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, SIGKILL = 1, 9
READ_BYTES = 1 << 20
#: What may still be opened, to read: modules that are imported late.
CODE_ENDINGS = (".py", ".pyc", ".so")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
REFUSED = (
    "socket.", "ctypes.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn",
    "os.fork", "os.kill", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink",
    "os.truncate", "os.chmod", "os.chown", "shutil.", "sqlite3.", "pty.",
)  # fmt: skip


def main() -> int:
    """Answer requests until the parent is gone."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.readline())
    # What the work needs is loaded first: afterwards no file can be opened for writing.
    import numpy as np  # noqa: F401

    from magnetfund import research  # noqa: F401
    from trading.domain.research import own, strategy_check  # noqa: F401
    from trading.domain.strategies import registry, rules  # noqa: F401

    if request["mode"] == "stream":
        shut_in(memory=request["memory_bytes"], seconds=request["seconds"])
        return serve_stream(request, sys.stdin.buffer, answer)
    return serve_questions(request, sys.stdin.buffer, answer)


def serve_questions(request: dict[str, Any], source: BinaryIO, answer: BinaryIO) -> int:
    """Answer each request in a fork; no text of a strategy runs in this process itself.

    A request has the number of bytes of candles that follow it; none means those sent last.
    """
    candles = None
    while True:
        if request["bytes"]:
            candles = read_candles(source.read(request["bytes"]), request)
        status, told = work_apart(request, candles, source, answer)
        answer.write(json.dumps({"status": status, "bytes": len(told)}).encode() + b"\n" + told)
        answer.flush()
        line = source.readline()
        if not line:
            return 0
        request = json.loads(line)


def work_apart(
    request: dict[str, Any], candles: Any, source: BinaryIO, answer: BinaryIO
) -> tuple[int, bytes]:
    """Exit status and answer of a fork; ends with it where the parent is gone meanwhile."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            os.close(answer.fileno())
            empty = os.open(os.devnull, os.O_RDONLY)
            os.dup2(empty, source.fileno())
            with os.fdopen(writing, "wb") as sink:
                shut_in(memory=request["memory_bytes"], seconds=request["seconds"])
                write_answer(request, candles, sink)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    parts: list[bytes] = []
    left = int(request["memory_bytes"])
    waiting = [reading, source.fileno()]
    while left > 0:
        # The parent sends nothing before it has its answer: what can be read there is its end.
        if source.fileno() in select.select(waiting, [], [])[0]:
            os.kill(child, SIGKILL)
            os._exit(1)
        part = os.read(reading, READ_BYTES)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    os.close(reading)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), b"".join(parts)


def write_answer(request: dict[str, Any], candles: Any, sink: BinaryIO) -> None:
    """Load the text and work on the request; a JSON line, then arrays as npz."""
    import numpy as np

    try:
        kinds = find_strategies(request["text"], request["file"])
        result, arrays = work(request, kinds, candles)
    except MemoryError:
        result, arrays = {"error": "it needs more memory than it may have"}, {}
    except BaseException as error:  # the strategy's own text may raise anything
        result, arrays = {"error": tell_error(error)}, {}
    packed = io.BytesIO()
    if arrays:
        np.savez(packed, **arrays)
    sink.write(json.dumps(result).encode() + b"\n" + packed.getvalue())


def shut_in(*, memory: int, seconds: int) -> None:
    """Bound memory and processor time (0 seconds: the parent keeps the time); take the rest away.

    The process ends with its parent.
    """
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if seconds:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    # Where the kernel allows it, a network namespace of its own has no interface at all.
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        # Opening to write empties a file before the bound on its size acts.
        if isinstance(path, int) or (str(path).endswith(CODE_ENDINGS) and not flags & WRITING):
            return
        raise PermissionError(f"a strategy may not open {path}")
    if event.startswith(REFUSED):
        raise PermissionError(f"a strategy may not use {event}")


def serve_stream(request: dict[str, Any], source: BinaryIO, answer: BinaryIO) -> int:
    """Answer a JSON line to each request until the parent is gone: the past, then candle by candle.

    The first line says that the strategy is loaded.
    """
    from trading.domain.market.candles import Candle
    from trading.domain.research.parameters import read_parameters

    def send(told: dict[str, Any]) -> None:
        answer.write(json.dumps(told).encode() + b"\n")
        answer.flush()

    try:
        kind = find_strategies(request["text"], request["file"])[request["name"]]
        stream = kind(**read_parameters(kind, request["parameters"])).stream()
        send({"ready": True})
        for line in source:
            told = json.loads(line)
            if "bytes" in told:
                candles = read_candles(source.read(told["bytes"]), told)
                warm(stream, candles)
                send({"warm": len(candles)})
            else:
                send(asdict(stream.update(Candle(**told))))
    except MemoryError:
        send({"error": "it needs more memory than it may have"})
        return 1
    except BaseException as error:  # the strategy's own text may raise anything
        send({"error": tell_error(error)})
        return 1
    return 0


def warm(stream: Any, candles: Any) -> None:
    """Give a stream the past without asking for signals."""
    if hasattr(stream, "warm"):
        stream.warm(candles)
        return
    from trading.domain.market.candles import list_candles

    for candle in list_candles(candles):
        stream.update(candle)


def find_strategies(text: str, name: str) -> dict[str, Any]:
    """The strategy classes of a source text, by name."""
    from trading.domain.research.own import ColumnStrategy, name_of
    from trading.domain.strategies.rules import RuleStrategy

    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    exec(compile(text, name, "exec"), module.__dict__)  # noqa: S102 - the purpose of this process
    found = {
        name_of(kind): kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and kind.__module__ == MODULE
        and is_dataclass(kind)
        and issubclass(kind, (ColumnStrategy, RuleStrategy))
        and not getattr(kind, "__abstractmethods__", None)
    }
    if not found:
        raise ValueError("the file holds no strategy (a frozen dataclass with its entries or rule)")
    return found


def family_of(name: str) -> str:
    """The family that the loaded text declares, else the strategy's own name."""
    return str(getattr(sys.modules[MODULE], "FAMILY", "") or name)


def work(
    request: dict[str, Any], kinds: dict[str, Any], candles: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Describe the strategies, compute columns, or check one."""
    from trading.domain.research.parameters import parameters_of, read_parameters

    if request["mode"] == "describe":
        told = {}
        for name, kind in kinds.items():
            strategy = kind(**read_parameters(kind, request.get("parameters") or {}))
            told[name] = {
                "family": family_of(name),
                "timeframe_ms": strategy.timeframe_ms,
                "traits": asdict(strategy.traits),
                "parameters": [
                    {"name": p.name, "default": p.default, "low": p.low, "high": p.high}
                    for p in parameters_of(kind)
                    if p.kind != "choice"
                ],
                "note": (kind.__doc__ or "").strip().split("\n")[0],
            }
        return {"strategies": told}, {}
    kind = kinds[request["name"]]
    values = read_parameters(kind, request["parameters"])
    if request["mode"] == "check":
        from trading.domain.research.strategy_check import check_strategy, describe_findings

        found = check_strategy(make=lambda: kind(**values), candles=candles)
        return {"findings": describe_findings(found)}, {}
    from trading.domain.strategies.registry import compute_columns

    signals = compute_columns(strategy=kind(**values), candles=candles)
    return {}, {item.name: getattr(signals, item.name) for item in fields(signals)}


def read_candles(body: bytes, request: dict[str, Any]) -> Any:
    """The candles of a request."""
    import numpy as np

    from trading.domain.market.candles import Candles

    columns = np.load(io.BytesIO(body))
    return Candles(
        instrument=request["instrument"],
        timeframe_ms=request["timeframe_ms"],
        **{name: columns[name] for name in columns.files},
    )


def tell_error(error: BaseException) -> str:
    """One line: what went wrong, and in which line of the strategy."""
    line = ""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__") == MODULE:
            line = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = f" (line {error.lineno})"
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}{line}"[:300]


if __name__ == "__main__":
    sys.exit(main())
