"""How long each sampler takes for the same model, with the same priors, on the same table."""

import argparse
import sys
from itertools import product
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))

from problems import PROBLEMS  # noqa: E402
from processes import interpreter, run  # noqa: E402
from table import Result, table  # noqa: E402

EVERYONE = {path.stem.removeprefix("by_"): path for path in sorted(HERE.glob("by_*.py"))}


def answer(quick: bool = False, names: list[str] = PROBLEMS[:1], repeat: int = 1, limit: int = 3600) -> None:
    """Run everyone on every problem, each time in a new process, and print a table of medians."""
    python = {"bayesmtl": sys.executable} if quick else {by: interpreter(EVERYONE[by]) for by in EVERYONE}
    (HERE / "out").mkdir(exist_ok=True)
    results, refused = [], set()
    for i, name, by in product(range(1, repeat + 1), names, python):
        out = HERE / "out" / f"{name}-{by}-{i}.npz"
        words = [python[by], EVERYONE[by], name, i, out, 100 if quick else 1000]
        try:
            if (name, by) not in refused:
                results.append(Result.read(name, by, out, *run(words, limit, out.with_suffix(".log"))))
        except (TimeoutError, RuntimeError) as reason:
            refused.add((name, by))
            print(f"{name} by {by}: {reason}", flush=True)
    print(table(results))


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("names", nargs="*", default=PROBLEMS, help=", ".join(PROBLEMS))
    words.add_argument("--repeat", type=int, default=3)
    words.add_argument("--limit", type=int, default=3600, help="seconds that one run may take")
    answer(**vars(words.parse_args()))
