"""Names for strategies: one decorator puts a new file's strategy within reach of the configuration."""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

import strategies
from strategies.types import BadInput, Floats, Prediction, QueryStrategy

T = TypeVar("T", bound=Callable[..., Any])


class Uncertainty(Protocol):
    """Scores predictions: higher, ask sooner."""

    def __call__(self, prediction: Prediction, /) -> Floats:
        """Score each of n inputs: (n,)."""


class Registry(Generic[T]):
    """Named things of one kind; a decorator adds one, an unknown name lists the known ones."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Register the decorated thing under `name`."""

        def register(entry: T) -> T:
            if self._entries.setdefault(name, entry) is not entry:
                raise BadInput(f"{self.kind} {name!r} is registered twice, expected each name once")
            return entry

        return register

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def get(self, name: str) -> T:
        """Give what is registered under `name`; raise BadInput naming the nearest and all known names."""
        if name not in self._entries:
            raise BadInput(f"unknown {self.kind} {name!r}{suggestion(name, list(self))}")
        return self._entries[name]

    def name_of(self, entry: object) -> str:
        """Give the name under which `entry` is registered, or its own where it is not."""
        named = (name for name, known in self._entries.items() if known is entry)
        return next(named, getattr(entry, "__name__", repr(entry)))


STRATEGIES: Registry[Callable[..., QueryStrategy]] = Registry("strategy")
UNCERTAINTIES: Registry[Uncertainty] = Registry("uncertainty")


def suggestion(name: str, known: list[str]) -> str:
    """Say which of the `known` names is nearest to `name`, and list them all."""
    close = difflib.get_close_matches(name, known, n=1)
    nearest = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{nearest} expected one of {', '.join(known)}"


def discover() -> None:
    """Import every module of this package, so that each registers what it has."""
    for module in pkgutil.iter_modules(strategies.__path__):
        importlib.import_module(f"strategies.{module.name}")


def names() -> tuple[str, ...]:
    """List every name that an expression may start with: strategies, then uncertainties."""
    discover()
    return (*STRATEGIES, *UNCERTAINTIES)


def build(expression: str) -> QueryStrategy:
    """Make the strategy that `expression` describes, e.g. `seals(uncertainty_k_center(margin))`.

    Names, calls and constants only, nothing is evaluated; a bare uncertainty where a strategy is expected
    means its plain top k: `margin` is `top(margin)`. Raises BadInput naming the piece that is wrong.
    """
    discover()
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInput(f"strategy {expression!r} is not an expression like seals(margin)") from error
    strategy: QueryStrategy = _value(tree.body, QueryStrategy, "strategy")
    return strategy


def describe(strategy: Any) -> str:
    """Write a built strategy as the expression that builds it, every parameter spelled out."""
    if not is_dataclass(strategy):
        return UNCERTAINTIES.name_of(strategy) if callable(strategy) else repr(strategy)
    name = STRATEGIES.name_of(type(strategy))
    parts = [f"{field.name}={describe(getattr(strategy, field.name))}" for field in fields(strategy)]
    return f"{name}({', '.join(parts)})" if parts else name


def _value(node: ast.expr, expected: Any, what: str) -> Any:
    piece = ast.unparse(node)
    if expected is QueryStrategy:
        return _strategy(node, piece)
    if expected is Uncertainty:
        if not isinstance(node, ast.Name):
            raise BadInput(f"{what} is {piece}, expected an uncertainty: {', '.join(UNCERTAINTIES)}")
        return UNCERTAINTIES.get(node.id)
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{what} is {piece}, expected {expected.__name__}") from error
    if type(value) is int and expected is float:
        return float(value)
    if type(value) is not expected:
        raise BadInput(f"{what} is {piece}, expected {expected.__name__}")
    return value


def _strategy(node: ast.expr, piece: str) -> QueryStrategy:
    if isinstance(node, ast.Name):
        if node.id in UNCERTAINTIES:
            return STRATEGIES.get("top")(UNCERTAINTIES.get(node.id))
        return _call(node.id, [], [], piece)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in UNCERTAINTIES and node.func.id not in STRATEGIES:
            raise BadInput(f"{piece} calls an uncertainty, expected its bare name {node.func.id}")
        return _call(node.func.id, node.args, node.keywords, piece)
    raise BadInput(f"{piece} is not a strategy, expected a name or a call like seals(margin)")


def _call(name: str, positional: list[ast.expr], keywords: list[ast.keyword], piece: str) -> QueryStrategy:
    kind = STRATEGIES.get(name) if name in STRATEGIES else None
    if kind is None:
        raise BadInput(f"unknown strategy {name!r}{suggestion(name, [*STRATEGIES, *UNCERTAINTIES])}")
    hints = get_type_hints(kind)
    known: dict[str, Any] = (
        {field.name: field for field in fields(kind) if field.init} if is_dataclass(kind) else {}
    )
    if len(positional) > len(known):
        raise BadInput(f"{piece} has {len(positional)} arguments, expected at most {len(known)}")
    given: dict[str, ast.expr] = dict(zip(known, positional, strict=False))
    for keyword in keywords:
        if keyword.arg is None or keyword.arg not in known:
            raise BadInput(
                f"{name} has no parameter {keyword.arg!r}{suggestion(str(keyword.arg), list(known))}"
            )
        if keyword.arg in given:
            raise BadInput(f"{name} is given {keyword.arg!r} twice in {piece}, expected once")
        given[keyword.arg] = keyword.value
    for field in known.values():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in given:
            raise BadInput(f"{name} needs {field.name!r}, expected for example {name}({field.name}=...)")
    return kind(**{key: _value(node, hints[key], f"{name}'s {key}") for key, node in given.items()})
