"""Where compiled kernels and other things that can be made again are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """The cache folder: `GRADFLOW_CACHE`, or gradflow's own in the platform's place for caches. It may not exist."""
    chosen = os.environ.get("GRADFLOW_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "gradflow" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gradflow"
    # The XDG specification has relative paths ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "gradflow"
