"""`python -m gradflow.cli`, where the command `gradflow` is not on the path."""

from .main import main

main()
