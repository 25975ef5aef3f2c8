"""What this machine is: its processor, and whether it has a CUDA device. Asks the system, so torch need not be loaded."""

import platform
import subprocess
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """The processor's model name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@cache
def has_cuda() -> bool:
    """Whether the NVIDIA driver lists at least one GPU."""
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listing.returncode == 0 and "GPU" in listing.stdout


def resolve_device(wanted: str) -> str:
    """`auto` as `cuda` or `cpu`; anything else as it is."""
    if wanted != "auto":
        return wanted
    return "cuda" if has_cuda() else "cpu"
