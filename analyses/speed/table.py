"""One Markdown table of all runs."""

import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arviz as az
import numpy as np
import xarray as xr
from contest import FIXED

JUDGE = "bayesmtl"
HEAD = ["problem", "by", "import", "compile", "sample", "all in", "bulk ESS", "tail ESS", "ESS per second"]
HEAD += ["divergences", "memory, GB", "difference, sd"]


@dataclass(frozen=True)
class Result:
    """One run of one contender.

    Parameters
    ----------
    problem, by
        What was run, and by whom.
    wall, memory
        Seconds from start to end, and the most memory in GB.
    said
        What the contender says: seconds by stage, divergences, versions.
    draws
        Of each parameter; [chain, draw, number].
    """

    problem: str
    by: str
    wall: float
    memory: float
    said: dict[str, Any]
    draws: xr.Dataset

    @classmethod
    def read(cls, problem: str, by: str, out: Path, wall: float, memory: float) -> "Result":
        """What a contender wrote."""
        with np.load(out) as found:
            said = json.loads(str(found["said"]))
            draws = {name: found[name] for name in found.files if name != "said"}
        return cls(problem, by, wall, memory, said, az.from_dict({"posterior": draws}).posterior.dataset)

    def least(self, method: str) -> float:
        """The least effective sample size of the scales and correlations."""
        found = az.ess(self.draws[[n for n in self.draws if n not in FIXED]], method=method)
        return min(float(value.min()) for value in found.values())

    @property
    def numbers(self) -> list[float]:
        """What the table tells of it, and the medians are taken of."""
        seconds = [self.said["seconds"].get(stage, np.nan) for stage in ("import", "compile", "sample")]
        bulk, tail = self.least("bulk"), self.least("tail")
        return [*seconds, self.wall, bulk, tail, bulk / self.wall, self.said["divergences"], self.memory]


def table(results: list[Result]) -> str:
    """The medians of each contender on each problem, and who does not agree with bayesmtl."""
    lines, apart = [HEAD, ["---"] * len(HEAD)], []
    for problem in dict.fromkeys(r.problem for r in results):
        here = [r for r in results if r.problem == problem]
        of = {by: [r for r in here if r.by == by] for by in dict.fromkeys(r.by for r in here)}
        for by, own in of.items():
            far, errors = distance(own, of.get(JUDGE, []))
            row = [problem, by, *map(digits, np.median([r.numbers for r in own], axis=0)), digits(far)]
            if errors > 5:
                apart.append(f"- {problem} by {by} is {digits(far)} sd or {errors:.0f} standard errors away.")
            else:
                lines.append(row)
    written = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join(filter(None, [written, "\n".join(apart), setting(results)]))


def distance(own: list[Result], judge: list[Result]) -> tuple[float, float]:
    """The largest difference of posterior means, in posterior standard deviations and in standard errors."""
    if not judge:
        return np.nan, 0.0
    far, errors = 0.0, 0.0
    for name in judge[0].draws:
        mean, sd, error = zip(*(moments([r.draws[name] for r in some]) for some in (own, judge)))
        difference = np.abs(mean[0] - mean[1])
        far = max(far, float((difference / sd[1]).max()))
        errors = max(errors, float((difference / np.hypot(*error).clip(1e-12)).max()))
    return far, errors


def moments(runs: list[xr.DataArray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, standard deviation, and standard error of the mean, over the draws of all runs; [number]."""
    draws = np.concatenate([run.to_numpy() for run in runs])
    error = az.mcse(az.from_dict({"posterior": {"one": draws}}).posterior.dataset, method="mean")["one"]
    return draws.mean((0, 1)), draws.std((0, 1)), error.to_numpy()


def setting(results: Iterable[Result]) -> str:
    """The versions and the machine."""
    versions = {package: v for result in results for package, v in result.said["versions"].items()}
    said = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in said if line.startswith("model name")]
    machine = f"{len(models)} cores of {models[0]}" if models else platform.machine()
    return f"{', '.join(f'{p} {v}' for p, v in versions.items())}; {machine}."


def digits(value: float) -> str:
    """A number as a person would write it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
