"""Training: the loop, what it reports, and the files a run leaves behind."""

from .checkpoint import CheckpointError, load_weights, save_weights
from .loop import BatchReport, DivergedError, EpochReport, Scores, evaluate, fit
from .metrics import MetricsFile, read_metrics
from .progress import Display, open_display
from .run import Outcome, train
from .rundir import make_run_dir
from .settings import Settings, default_settings

__all__ = [
    "BatchReport",
    "CheckpointError",
    "Display",
    "DivergedError",
    "EpochReport",
    "MetricsFile",
    "Outcome",
    "Scores",
    "Settings",
    "default_settings",
    "evaluate",
    "fit",
    "load_weights",
    "make_run_dir",
    "open_display",
    "read_metrics",
    "save_weights",
    "train",
]
