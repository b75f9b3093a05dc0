"""Command-line options and TOML keys made from the fields of a pydantic model, so that nothing is written twice.

A field `split_sizes: tuple[float, float, float]` becomes `--split-sizes 0.8 0.1 0.1` with the field's description and default.
All values reach pydantic as text and are checked there; its complaints are turned into ours.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from heliograph.errors import DataError, UsageError, suggest

SHORT = {"data_path": "-i", "output_dir": "-o", "output_path": "-o", "smiles_columns": "-s", "task_type": "-t", "batch_size": "-b"}
Values = dict[str, Any]
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Option:
    """One field as an option. `many`: it takes one value or more."""

    name: str
    panel: str
    field: FieldInfo
    many: bool
    flag: bool

    @property
    def long(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.long, SHORT[self.name]) if self.name in SHORT else (self.long,)

    def parameter(self) -> inspect.Parameter:
        """As typer wants it: absent is None, so that what was given can be told from what was not."""
        kind: Any = list[str] if self.many else bool if self.flag else str
        default = _shown(self.field)
        names = (f"{self.long}/--no-{self.long[2:]}",) if self.flag else self.spellings
        text = (self.field.description or "").replace("[", r"\[")  # rich would take [0, 1] for markup
        info = typer.Option(
            *names,
            help=text + (f" [dim](default: {default})[/dim]" if default else ""),
            metavar=None if self.flag else _metavar(self.field.annotation),
            show_default=False,
            rich_help_panel=self.panel,
        )
        annotation: Any = Annotated[kind | None, info]
        return inspect.Parameter(self.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def options_of(model: type[BaseModel], panel: str, leave_out: Iterable[str] = ()) -> list[Option]:
    """The options of a model's plain fields, in their order."""
    found = []
    for name, field in model.model_fields.items():
        kind = _bare(field.annotation)
        if name in leave_out or (inspect.isclass(kind) and issubclass(kind, BaseModel)):
            continue
        found.append(Option(name, panel, field, many=get_origin(kind) in (tuple, list, dict), flag=kind is bool))
    return found


def with_options(options: Sequence[Option]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: replace a function's `**given` by the options; it receives those that were given, as text."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(function, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {option.name for option in options}

        def wrapper(**arguments: Any) -> None:
            given = {k: v for k, v in arguments.items() if k in names and v is not None and v != [] and v != ()}
            function(**{k: v for k, v in arguments.items() if k not in names}, **given)

        parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + [option.parameter() for option in options]
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        wrapper.__doc__, wrapper.__name__ = function.__doc__, function.__name__
        return wrapper

    return decorate


def expand_lists(args: Sequence[str], options: Sequence[Option], flags: Iterable[str], data_elsewhere: Iterable[str]) -> list[str]:
    """`--target-columns a b` -> `--target-columns=a --target-columns=b`, as people know it from argparse.

    Values reach up to the next option. Where no positional argument remains and none of `data_elsewhere` is among the
    options, the last value is the positional argument: `--target-columns a b data.csv` means what it seems to mean.
    """
    many = {spelling: option for option in options if option.many for spelling in option.spellings}
    single = set(flags) | {s for o in options if o.flag for s in (o.long, "--no-" + o.long[2:])}
    plain: list[str] = []
    lists: list[tuple[str, list[str]]] = []
    positional, i = 0, 0
    while i < len(args):
        arg = args[i]
        i += 1
        if arg == "--":
            return [*plain, *_spelled(lists), *args[i - 1 :]]
        if arg in many:
            end = next((k for k in range(i, len(args)) if args[k].startswith("-") and not _number(args[k])), len(args))
            if end == i:
                raise UsageError(f"{arg} needs at least one value, got none. Give it like: {arg} VALUE ...")
            lists.append((many[arg].long, list(args[i:end])))
            i = end
        elif arg.startswith("-") and arg != "-":
            plain.append(arg)
            if "=" not in arg and arg not in single and i < len(args):
                plain.append(args[i])
                i += 1
        else:
            positional += 1
            plain.append(arg)
    if not positional and lists and len(lists[-1][1]) > 1 and not set(data_elsewhere) & {a.split("=")[0] for a in args}:
        plain.append(lists[-1][1].pop())
    return [*plain, *_spelled(lists)]


def _spelled(lists: list[tuple[str, list[str]]]) -> list[str]:
    return [f"{long}={value}" for long, values in lists for value in values]


def read_toml(path: Path, groups: Mapping[str, type[BaseModel]], top: Sequence[str]) -> Values:
    """The file's keys, flat. Keys may stand flat or in the table of their group; `-` and `_` are the same.

    Raises DataError where there is no such file or it isn't TOML, UsageError where a key is unknown.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except FileNotFoundError:
        raise DataError(f"no such file: {path} (given with --config)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise DataError(f"can't read {path} (given with --config): {error.strerror}") from None
    homes = {name: group for group, model in groups.items() for name in model.model_fields} | dict.fromkeys(top, "")
    values: Values = {}
    for key, value in document.items():
        if key in groups and isinstance(value, dict):
            for inner, what in value.items():
                values[_known(inner, homes, key, path, text)] = what
        else:
            values[_known(key, homes, None, path, text)] = value
    return values


def _known(key: str, homes: Mapping[str, str], table: str | None, path: Path, text: str) -> str:
    name = key.replace("-", "_")
    if name in homes and table in (None, homes[name]):
        return name
    line = next((n for n, row in enumerate(text.splitlines(), 1) if row.split("=")[0].strip(" []\"'\t") == key), None)
    where = f"{path}{f', line {line}' if line else ''}"
    if name in homes:
        home = f"[{homes[name]}]" if homes[name] else "the top of the file"
        raise UsageError(f"{where}: the key {key!r} belongs in {home}, not in [{table}]")
    raise UsageError(f"{where}: unknown key {key!r}{f' in [{table}]' if table else ''}; {suggest(name, homes)}")


def build(model: type[M], values: Values, origin: Mapping[str, str]) -> M:
    """The model with these values; `origin` says for each name where its value came from, for the error."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UsageError("\n".join(_complaint(e, origin) for e in error.errors())) from None


def _complaint(e: Any, origin: Mapping[str, str]) -> str:
    names = [part for part in e["loc"] if isinstance(part, str) and part in origin] or [p for p in e["loc"] if isinstance(p, str)]
    name = names[-1] if names else ""
    option = "--" + name.replace("_", "-")
    source = origin.get(name, option)
    where = option if source == option else f"{name} in {source}"
    if e["type"] == "missing" and len(e["loc"]) < 3:
        return f"{option} is missing"
    if any(isinstance(part, int) for part in e["loc"]) and e["type"] == "missing":
        return f"{where}: needs more values; got {' '.join(map(str, e['input']))!r}"
    message = e["msg"].removeprefix("Input ").removeprefix("Value error, ").replace("should be", "must be")
    message = message.replace(", unable to parse string as an integer", "").replace(", unable to parse string as a number", "")
    hint = ""
    if e["type"] == "literal_error" and isinstance(e["input"], str):
        choices = [c.strip(" '") for c in e["ctx"]["expected"].replace(" or ", ",").split(",")]
        near = suggest(e["input"], choices)
        hint = f"; {near}" if near.startswith("did") else ""
    return f"{where}: {message}; got {e['input']!r}{hint}"


def with_data(given: Values, data: str | None) -> Values:
    """The given options with positional DATA as `data_path`. Raises UsageError where both are given."""
    if data is None:
        return given
    if "data_path" in given:
        raise UsageError(f"the data is given twice: {data} and --data-path {given['data_path']}. Give one of them.")
    return given | {"data_path": data}


def named(given: Iterable[str]) -> dict[str, str]:
    """Where each of these came from: its own option."""
    return {name: "--" + name.replace("_", "-") for name in given}


def pairs(items: Sequence[str]) -> Values:
    """`["width=128", "tied=true"]` -> `{"width": 128, "tied": True}`: TOML values, else text."""
    values: Values = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UsageError(f"--arch-args wants NAME=VALUE, got {item!r}. For example: --arch-args width=128 steps=4")
        try:
            values[name.strip().replace("-", "_")] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[name.strip().replace("-", "_")] = text
    return values


def _bare(annotation: Any) -> Any:
    """Without `| None` and without constraints."""
    if get_origin(annotation) in (Union, UnionType):
        rest = [a for a in get_args(annotation) if a is not NoneType]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return _bare(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation


def _metavar(annotation: Any) -> str:
    kind = _bare(annotation)
    if get_origin(kind) is Literal:
        return "|".join(str(a) for a in get_args(kind))
    if get_origin(kind) is dict:
        return "NAME=VALUE..."
    if get_origin(kind) in (tuple, list):
        inner = [a for a in get_args(kind) if a is not Ellipsis]
        return " ".join(_metavar(a) for a in inner) if len(inner) > 1 else _metavar(inner[0]) + "..."
    return {int: "INT", float: "FLOAT", Path: "PATH"}.get(kind, "TEXT")


def _shown(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=False) if field.default_factory is None else None
    if field.is_required() or default is None or default == () or isinstance(default, bool):
        return ""
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
