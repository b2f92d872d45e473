"""The command line: `gradflow train`, `doctor`, `bench`."""
