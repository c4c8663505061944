"""A YAML file to plain data, with errors that name the line and never quote it (it may hold a secret)."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from backend.config.scalars import DECIMAL, number
from backend.domain import ConfigError

_INT, _FLOAT, _DAY = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


class _Loader(yaml.SafeLoader):
    """The safe loader, less silence about a key that is given twice; numbers are decimal, a day is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class above declares it
        first: [pair for pair in pairs if pair[0] not in (_INT, _FLOAT, _DAY)]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for name, _ in node.value:
            key = self.construct_object(name, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f'key "{key}" is given twice', problem_mark=name.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """Read a decimal number, or infinity and none."""
        found = number(str(self.construct_scalar(node)))
        return float(self.construct_yaml_float(node)) if found is None else found


_NUMBER = re.compile(rf"({DECIMAL.pattern}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
_Loader.add_implicit_resolver(_FLOAT, _NUMBER, list("-+.0123456789"))
_Loader.add_constructor(_FLOAT, _Loader.construct_number)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping that `path` holds; an empty file is an empty mapping.

    errors: ConfigError in one line
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); expected a YAML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 at byte {error.start}; expected a YAML file in UTF-8"
        ) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{place}: {error.problem}; expected valid YAML") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path}: has characters that YAML does not allow; expected valid YAML") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: is a {type(content).__name__}; expected sections with keys below them")
    return content
