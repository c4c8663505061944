"""Names to constructors: one decorator per file, every file of the package found by itself."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from backend.domain import ConfigError

Made = TypeVar("Made")
Constructor = TypeVar("Constructor", bound=Callable[..., Any])


class Registry(Generic[Made]):
    """The constructors of one kind of thing (`noun`), registered by the modules of `package`.

    The modules are imported when a name is first asked for, so they must be cheap to import.
    """

    def __init__(self, noun: str, package: str) -> None:
        self._noun = noun
        self._package = package
        self._constructors: dict[str, Callable[..., Made]] = {}

    def __call__(self, name: str) -> Callable[[Constructor], Constructor]:
        """Register what is decorated under `name`."""

        def register(constructor: Constructor) -> Constructor:
            known = self._constructors.setdefault(name, constructor)
            if known is not constructor:
                raise ValueError(f"{self._noun} {name!r} is registered twice: {known!r} and {constructor!r}")
            return constructor

        return register

    def names(self) -> tuple[str, ...]:
        """Every registered name, sorted."""
        for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        return tuple(sorted(self._constructors))

    def options(self, name: str) -> tuple[str, ...]:
        """The options that `name` takes, in the order of its constructor."""
        return tuple(inspect.signature(self.constructor(name)).parameters)

    def make(self, name: str, options: Mapping[str, Any], **given: Any) -> Made:
        """Construct `name` with the user's `options` and what the program itself has `given`.

        Raises ConfigError for an unknown name or option (naming the nearest known one), for an option
        that is missing, and for what the constructor itself refuses.
        """
        constructor = self.constructor(name)
        known = [option for option in self.options(name) if option not in given]
        for option in options:
            if option not in known:
                raise ConfigError(unknown(f"option of {self._noun} {name!r}", option, known))
        try:
            inspect.signature(constructor).bind(**options, **given)
        except TypeError as error:
            raise ConfigError(f"{self._noun} {name!r}: {error}; its options are {_listed(known)}") from error
        return constructor(**options, **given)

    def constructor(self, name: str) -> Callable[..., Made]:
        """Look up what is registered under `name`; ConfigError names the nearest valid name."""
        names = self.names()
        if name not in names:
            raise ConfigError(unknown(self._noun, name, names))
        return self._constructors[name]


def unknown(noun: str, name: str, known: Iterable[str]) -> str:
    """Say that `name` is none of `known`, and which is the nearest."""
    valid = list(known)
    near = difflib.get_close_matches(name, valid, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {noun}: {name!r}; {hint}known: {_listed(valid)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
