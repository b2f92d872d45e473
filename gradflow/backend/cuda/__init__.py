"""CUDA kernels: their sources, launchers and plans, and the two ways to run them, on a GPU and emulated on a CPU."""
