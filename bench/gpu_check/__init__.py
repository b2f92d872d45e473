"""The GPU check: everything that only a GPU can tell, by one command, `python -m bench.gpu_check`."""
