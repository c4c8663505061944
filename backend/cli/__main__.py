"""`python -m backend.cli` is `nextlabel`."""

from backend.cli.commands import main

main()
