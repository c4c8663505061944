from __future__ import annotations

from pathlib import Path

from strategies.listing import table

README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_table_of_strategies_is_the_generated_one():
    """Whoever adds a strategy, an uncertainty or a core-set method documents it."""
    section = README.read_text("utf-8").split("<!-- strategies:")[1].split("<!-- end of strategies -->")[0]
    assert section.split("-->", 1)[1].strip() == table()
