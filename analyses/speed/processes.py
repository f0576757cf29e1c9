"""A process and all that it starts: its seconds, and the most memory that they held together."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def interpreter(script: Path) -> str:
    """The Python of a script's own environment, with all that it needs installed."""
    subprocess.run(["uv", "sync", "--quiet", "--compile-bytecode", "--script", script], check=True)
    found = subprocess.run(["uv", "python", "find", "--script", script], check=True, capture_output=True)
    return found.stdout.decode().strip()


def run(command: Sequence[object], limit: float, log: Path) -> tuple[float, float]:
    """Run a command to its end, its words going to a file; seconds, and peak memory in GB.

    Raises
    ------
    TimeoutError
        When it takes more seconds than the limit.
    RuntimeError
        When it fails.
    """
    start, peak = time.perf_counter(), 0
    words, place = [*map(str, command)], log.parent  # PyStan leaves files where it runs
    with log.open("w") as says, subprocess.Popen(words, stdout=says, stderr=says, cwd=place) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(memory, family(process.pid))))
            if time.perf_counter() - start > limit:
                for pid in reversed(family(process.pid)):
                    subprocess.run(["kill", str(pid)], check=False)
                raise TimeoutError(f"more than {limit:.0f} s")
            time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(log.read_text().strip().splitlines()[-1])
    return time.perf_counter() - start, peak / 1e9


def family(pid: int) -> list[int]:
    """A process, and all that descend from it, as Linux tells."""
    children = " ".join(read(path) for path in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [pid, *(member for child in children for member in family(int(child)))]


def memory(pid: int) -> int:
    """Bytes that a process holds, with its part of what it shares; 0 when it is over."""
    found = [line.split() for line in read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()]
    return sum(int(words[1]) * 1024 for words in found if words[0] == "Pss:")


def read(path: Path) -> str:
    """A file's text; nothing when its process is over."""
    try:
        return path.read_text()
    except OSError:
        return ""
