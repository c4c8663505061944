"""What the store is reached by: its URL, its driver, as many connections as there are threads, its errors."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from backend.store import Store

ROOT = Path(__file__).parents[2]


def test_a_url_of_postgresql_needs_no_driver_named(tmp_path):
    """SQLAlchemy 2.0 would look for psycopg2, which nextlabel does not bring."""
    assert Store("postgresql://somebody@nowhere/db").database.engine.driver == "psycopg"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    assert not needed["SQLAlchemy"].contains("2.0.99")
    assert "psycopg" in {Requirement(each).name for each in project["optional-dependencies"]["postgresql"]}
