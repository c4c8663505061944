"""`python -m backend.cli` is `nextlabel`."""

from backend.cli.main import main

main()
