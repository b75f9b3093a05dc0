"""What every verb does the same way: errors as text with an exit code, an interrupt with a hint, verbosity, progress."""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heliograph.errors import HeliographError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="say more; show the traceback of an error", rich_help_panel="Talk")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but errors", rich_help_panel="Talk")]
Model = Annotated[str, typer.Argument(metavar="MODEL_OR_RUN", help="a model file, or the folder of a run")]
Potential = Annotated[Path, typer.Argument(metavar="MODEL_OR_RUN", help="model file of a potential, or its run folder")]
Molecules = Annotated[str | None, typer.Argument(metavar="DATA", help="table of molecules (the same as -i)")]
Nodes = Annotated[str | None, typer.Argument(metavar="NODES", help="table of nodes (the same as -i)")]

PLAIN_EVERY = 10.0  # seconds between two lines of progress where there is no terminal


def new_app(**settings: object) -> typer.Typer:
    """A typer application as all verbs have it."""
    context = {"help_option_names": ["-h", "--help"], "max_content_width": 140}
    return typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=context, **settings)  # type: ignore[arg-type]


@contextmanager
def guarded(verbose: bool, interrupted: Callable[[], str] = lambda: "interrupted") -> Iterator[None]:
    """Turn what goes wrong inside into one clear text on stderr and the right exit code."""
    try:
        yield
    except KeyboardInterrupt:
        _fail(interrupted(), 130, verbose)
    except HeliographError as error:
        _fail(f"Error: {error}", error.exit_code, verbose)
    except MemoryError:
        _fail("Error: out of memory. Give a smaller --batch-size or fewer --num-workers.", 1, verbose)
    except BrokenPipeError:
        raise
    except OSError as error:
        _fail(f"Error: {_os_error(error)}", 1, verbose)
    except Exception as error:
        if os.strerror(errno.ENOSPC) in str(error):  # a library's own error for a full disk
            _fail(f"Error: {_os_error(OSError(errno.ENOSPC, ''))}", 1, verbose)
        hint = "" if verbose else "\nThis should not happen. Run it again with --verbose for the traceback, and please report it."
        _fail(f"Unexpected {type(error).__name__}: {_first_line(error)}{hint}", 1, verbose)


def _os_error(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"no space left on the disk{' for' + where if where else ''}. Free some space or choose another folder with -o."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"not allowed to write or read{where} ({error.strerror}). Choose another folder, or change its permissions."
    return f"{error.strerror or error}{':' + where if where else ''}"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else "no message"


def _fail(text: str, code: int, verbose: bool) -> None:
    if verbose and code != 130:
        traceback.print_exc()
    sys.stdout.flush()
    print(text, file=sys.stderr)
    raise typer.Exit(code) from None


class Bar:
    """Progress with rate and time left: a bar on a terminal, a plain line now and then elsewhere. Use as a context manager.

    Call it with what is being done and how far it is: `bar("featurizing", 512, 1128)`; `total` None where it is unknown.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._rich: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def __enter__(self) -> Bar:
        if self.quiet:
            os.environ["HELIOGRAPH_QUIET"] = "1"  # for what is said elsewhere, and in processes of a comparison
        elif sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}")]
            self._rich = Progress(*columns, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=Console(stderr=True))
            self._rich.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._rich is not None:
            self._rich.stop()
        if self.quiet:
            os.environ.pop("HELIOGRAPH_QUIET", None)

    def __call__(self, stage: str, done: int, total: int | None = None, note: str = "") -> None:
        now = time.monotonic()
        start = self._started.setdefault(stage, now)
        if self.quiet:
            return
        rate = done / (now - start) if now > start else 0.0
        count = f"{done:,}{f'/{total:,}' if total else ''}{f'  {rate:,.0f}/s' if rate >= 1 else ''}{'  ' + note if note else ''}"
        if self._rich is not None:
            self._draw(stage, done, total, count)
        elif now - self._said.setdefault(stage, start) >= PLAIN_EVERY:
            self._said[stage] = now
            left = f", {clock((total - done) / rate)} left" if total and rate and total > done else ""
            print(f"{stage}: {count}{left}", file=sys.stderr)

    def _draw(self, stage: str, done: int, total: int | None, count: str) -> None:
        assert self._rich is not None
        if stage not in self._tasks:
            self._tasks[stage] = self._rich.add_task(stage, total=total, count=count)
        self._rich.update(self._tasks[stage], completed=done, total=total, count=count)

    def say(self, text: str) -> None:
        """A line that stays, above the bar."""
        if self.quiet:
            return
        if self._rich is not None:
            self._rich.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr)


def clock(seconds: float) -> str:
    """`75` -> `1m 15s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"
