"""Read the file and the environment whole, and tell everything that is wrong with them at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError

from backend.config import environment as env
from backend.config.section import Section
from backend.config.types import PROJECT_SECTIONS, SECTIONS, Config, ProjectConfig
from backend.config.words import expected, found, nearest
from backend.config.yaml_file import read_yaml
from backend.domain import ConfigError

Raw: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[str, Mapping[str, Any]], object]

_SECRET = re.compile(r"(.+_)?(token|password|passwd|secret|api_?key)")
_PASSWORD = re.compile(r"//[^/\s]*:\S*@|[?&]password=")
_WHERE_SECRETS_GO = {
    "store": "NEXTLABEL_STORE_URL",
    "encoder": "HF_TOKEN",
    "proxy": "HF_TOKEN",
    "target": "HF_TOKEN",
    "web": "NEXTLABEL_PASSWORD",
    "notify": "NEXTLABEL_SMTP_PASSWORD",
    "password": "NEXTLABEL_PASSWORD",
    "secret": "NEXTLABEL_PASSWORD",
}


def _anything(_: str, options: Mapping[str, Any]) -> object:
    return options


@dataclass(frozen=True)
class Catalogue:
    """What this installation can do.

    strategy:        builds a strategy from its expression; raises ValueError that says what is wrong
    encoder_options: the same for an encoder's name and options; proxy_options for a proxy's,
                     and target_options for a target's
    """

    encoders: tuple[str, ...]
    proxies: tuple[str, ...]
    strategy: Callable[[str], object]
    encoder_options: Check = _anything
    proxy_options: Check = _anything
    targets: tuple[str, ...] = ("auto",)
    target_options: Check = _anything

    @property
    def named(self) -> Mapping[str, tuple[tuple[str, ...], Check]]:
        """Sections that name one of several, with what they can name and the check of its options."""
        return {
            "encoder": (self.encoders, self.encoder_options),
            "proxy": (self.proxies, self.proxy_options),
            "target": (self.targets, self.target_options),
        }


def find(path: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Name the file that is read: `path`, or NEXTLABEL_CONFIG, or nextlabel.yaml here; None without any."""
    if path is not None:
        return path
    if named := environment.get("NEXTLABEL_CONFIG", "").strip():
        return Path(named)
    here = Path("nextlabel.yaml")
    return here if here.exists() else None


def load(path: Path | None, *, catalogue: Catalogue, environment: Mapping[str, str]) -> Config:
    """Read the configuration; the environment goes before the file, and a project's section before both.

    errors: ConfigError with one line for each thing that is wrong
    """
    file = find(path, environment)
    raw = read_yaml(file) if file is not None else {}
    try:
        return _Reading(catalogue, env.read(environment)).config(raw)
    except RecursionError as deep:
        raise ConfigError(f"{file}: is nested without end; expected sections with keys below them") from deep


class _Reading:
    """One pass over what was given, gathering problems on the way."""

    def __init__(self, catalogue: Catalogue, environment: env.Environment) -> None:
        self.catalogue = catalogue
        self.environment = environment
        self.problems = list(environment.problems)

    def config(self, raw: Raw) -> Config:
        raw = self._without_secrets(raw, ())
        projects = self._mapping(raw.pop("projects", None), "projects")
        given = self._sections(raw, SECTIONS, "")
        if _PASSWORD.search(str(given["store"].get("url"))):
            self.problems.append(
                "store.url: holds a password; expected it in the environment: NEXTLABEL_STORE_URL"
            )
            del given["store"]["url"]
        over = self.environment.values
        merged = {name: _over(name, given[name], over.get(name, {})) for name in SECTIONS}
        sections = {name: self._section(name, merged[name], "") for name in SECTIONS}
        own = {number: self._project(number, each, merged) for number, each in projects.items()}
        if self.problems:
            raise ConfigError("\n".join(self.problems))
        return Config.model_validate({**sections, "projects": own, "secrets": self.environment.secrets})

    def _project(self, number: Any, raw: Any, defaults: Mapping[str, Raw]) -> ProjectConfig | None:
        path = f"projects.{number}"
        if type(number) is not int or number < 1:
            self.problems.append(f"{path}: not a project; expected its number, as in {{12: ...}}")
            return None
        given = self._sections(self._mapping(raw, path), PROJECT_SECTIONS, f"{path}.")
        merged = {name: _over(name, defaults[name], given[name]) for name in given}
        sections = {name: self._section(name, merged[name], f"{path}.", own=given[name]) for name in merged}
        return None if self.problems else ProjectConfig.model_validate(sections)

    def _sections(self, raw: Raw, known: Mapping[str, type[Section]], prefix: str) -> dict[str, Raw]:
        for name in sorted(raw.keys() - known.keys(), key=str):
            homes = [f"{section}.{name}" for section, kind in known.items() if name in kind.model_fields]
            hint = f'; did you mean "{homes[0]}"?' if homes else nearest(str(name), known)
            listed = ", ".join([*known, *([] if prefix else ["projects"])])
            self.problems.append(f"{prefix}{name}: unknown section; expected one of {listed}{hint}")
        return {name: self._mapping(raw.get(name), f"{prefix}{name}", known[name]) for name in known}

    def _mapping(self, raw: Any, path: str, kind: type[Section] | None = None) -> Raw:
        if raw is None:
            return {}
        if isinstance(raw, dict):
            return {key: {} if key == "options" and value is None else value for key, value in raw.items()}
        keys = f": {', '.join(kind.model_fields)}" if kind else ""
        self.problems.append(f"{path}: {found(raw)}; expected keys below it{keys}")
        return {}

    def _section(self, name: str, raw: Raw, prefix: str, own: Raw | None = None) -> Section | None:
        """Validate one section; with `own`, tell only what these keys did (the rest was told already)."""
        kind = SECTIONS[name]
        wrong = {str(key) for key in raw.keys() - kind.model_fields.keys()}
        told = raw if own is None else own
        section: Section | None = None
        try:
            section = kind.model_validate(raw)
        except ValidationError as errors:
            for error in errors.errors(include_url=False):
                if error["loc"]:
                    wrong.add(str(error["loc"][0]))
                elif told.keys() & set((together := error["ctx"]["error"]).keys):
                    where = ", ".join(self._where(name, key, prefix) for key in together.keys)
                    self.problems.append(f"{where}: {together}")
        for key in sorted(wrong & {str(key) for key in told}):
            self._tell(name, key, raw, prefix)
        if own is None or own:
            given = {key: raw.get(key, field.default) for key, field in kind.model_fields.items()}
            self._look_up(name, {key: given[key] for key in given.keys() - wrong}, prefix, own)
        return section

    def _tell(self, name: str, key: str, raw: Raw, prefix: str) -> None:
        where, fields = self._where(name, key, prefix), SECTIONS[name].model_fields
        if key not in fields:
            hint = nearest(key, fields)
            self.problems.append(f"{where}: unknown key; expected one of {', '.join(fields)}{hint}")
            return
        value = found(raw[key]) if fields[key].repr else "a value that is not shown"
        self.problems.append(f"{where}: {value}; expected {expected(fields[key])}")

    def _look_up(self, name: str, valid: Raw, prefix: str, own: Raw | None) -> None:
        """Compare names and expressions, as far as they are valid, with what the installation knows."""
        if name == "selection":
            for key in ("strategy", "cold_start"):
                if key in valid and (own is None or key in own):
                    self._try(self._where(name, key, prefix), partial(self.catalogue.strategy, valid[key]))
        elif name in self.catalogue.named and valid.get("name") is not None:
            known, check = self.catalogue.named[name]
            kind = valid["name"]
            if kind not in known:
                where, hint = self._where(name, "name", prefix), nearest(kind, known)
                self.problems.append(f"{where}: {found(kind)}; expected one of {', '.join(known)}{hint}")
            elif "options" in valid:
                self._try(f"{prefix}{name}.options", partial(check, kind, valid["options"]))

    def _try(self, where: str, check: Callable[[], object]) -> None:
        try:
            check()
        except ValueError as wrong:
            self.problems.append(f"{where}: {wrong}")

    def _where(self, name: str, key: str, prefix: str) -> str:
        variable = "" if prefix else self.environment.sources.get((name, key), "")
        return f"{variable} ({name}.{key})" if variable else f"{prefix}{name}.{key}"

    def _without_secrets(self, raw: Raw, path: tuple[str, ...]) -> Raw:
        """Drop keys that hold secrets, and tell where each belongs."""
        kept: Raw = {}
        for key, value in raw.items():
            here = (*path, str(key))
            if (match := _SECRET.fullmatch(str(key).lower())) and not isinstance(value, dict):
                room = next((step for step in reversed(here[:-1]) if step in SECTIONS), match[2])
                variable = _WHERE_SECRETS_GO.get(room, "LABEL_STUDIO_API_KEY")
                self.problems.append(
                    f"{'.'.join(here)}: a secret in the file; expected it in the environment: {variable}"
                )
            else:
                kept[key] = self._without_secrets(value, here) if isinstance(value, dict) else value
        return kept


def _over(section: str, base: Mapping[str, Any], own: Mapping[str, Any]) -> Raw:
    """Lay `own` over `base`; another name does not inherit the options of the one before it."""
    merged = {**base, **own}
    if "options" not in own and _name(section, merged) != _name(section, base):
        merged.pop("options", None)
    return merged


def _name(section: str, raw: Mapping[str, Any]) -> Any:
    field = SECTIONS[section].model_fields.get("name")
    return raw.get("name", field.default if field else None)
