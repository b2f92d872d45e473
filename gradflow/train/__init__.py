"""Training: the loop, whole runs and the files they leave behind, and the audit of a device."""

from .checkpoint import (
    CheckpointError,
    Checkpoints,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from .loop import evaluate, fit, step_report
from .metrics import MetricsFile, read_metrics
from .progress import Display, open_display
from .report import DivergedError, EpochReport, Scores, StepReport
from .restore import load_model, preprocessing
from .run import Outcome, train
from .rundir import make_run_dir
from .settings import Settings, load_settings
from .state import Training

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "Display",
    "DivergedError",
    "EpochReport",
    "MetricsFile",
    "Outcome",
    "Scores",
    "Settings",
    "StepReport",
    "Training",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_model",
    "load_settings",
    "load_weights",
    "make_run_dir",
    "open_display",
    "preprocessing",
    "read_metrics",
    "save_checkpoint",
    "save_weights",
    "step_report",
    "train",
]
