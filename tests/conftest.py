"""What the tests share: one small table, its models, and a posterior that nobody had to fit."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from fakes import fake_posterior

import bayesmtl as bm

# what one test compiled, another need not compile again; read when JAX is first imported
CACHE = tempfile.TemporaryDirectory()
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in a fit, and read when numpy is first imported
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

ROOT = Path(__file__).parents[1]
ROWS, CHAINS, DRAWS = 31, 2, 37  # distinct primes: a transposed axis can't hide

WARDS = """
name = "wards"
doc = "What age and weight do to the length of a stay, to pain and to readmission."
formula = "age + bmi"
dag = '''
age -> bmi
age, bmi -> stay +
age, bmi -> readmit
stay -> readmit
stay <-> readmit
'''

[data]
table = "wards.csv"
units = "patient"

[tasks]
stay = "gaussian"
readmit = "bernoulli"
falls = { kind = "poisson", formula = "age" }
"""


ALONE = {"test_calibration.py", "test_brms.py", "test_posteriordb.py", "test_least_squares.py"}
BY_PART = {"test_likelihoods.py", "test_tails.py"}


def process(test: str) -> str:
    """What shares a process: the tests of a file, which share fixtures, or those of a part, compiled once.

    Long ones that share nothing go where there is room.
    """
    path, _, name = test.partition("::")
    if Path(path).name in BY_PART:
        return name.partition("[")[2] or test
    return test if Path(path).name in ALONE else path


@pytest.hookimpl(optionalhook=True)  # the marks that xdist 3.8 reads are lost on pytest 9.2
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Send tests to processes by ``process``."""
    from xdist.scheduler import LoadScopeScheduling

    class ByProcess(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return process(nodeid)

    return ByProcess(config, log)


def pytest_configure() -> None:
    """Import all of JAX and NumPyro before ArviZ, which would leave them half loaded."""
    assert bm.fit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is slow, but where CI is set or when asked for with ``-m slow``."""
    if os.environ.get("CI"):
        return
    for item in items:
        if item.get_closest_marker("slow") and "slow" not in item.config.option.markexpr:
            item.add_marker(pytest.mark.skip(reason="slow: set CI=true, or ask with -m slow"))


@pytest.fixture
def wards() -> pd.DataFrame:
    """Three outcomes of 31 patients; 2 stays, 3 readmissions and 5 counts of falls are empty."""
    draw = np.random.default_rng(7)
    age, bmi = draw.normal(60.0, 12.0, ROWS), draw.normal(26.0, 4.0, ROWS)
    table = pd.DataFrame(
        {
            "patient": [f"p{i + 1}" for i in range(ROWS)],
            "age": age.round(1),
            "bmi": bmi.round(1),
            "stay": (5.0 + 0.1 * (age - 60) + 0.2 * (bmi - 26) + draw.normal(0, 1.5, ROWS)).round(2),
            "readmit": draw.binomial(1, 1 / (1 + np.exp(-(age - 60) / 12))).astype(float),
            "falls": draw.poisson(np.exp(0.02 * (age - 60))).astype(float),
        }
    )
    for column, rows in (("stay", [3, 17]), ("readmit", [0, 5, 11]), ("falls", [2, 7, 8, 19, 23])):
        table.loc[rows, column] = np.nan
    return table


@pytest.fixture
def ward_file(tmp_path: Path, wards: pd.DataFrame) -> Path:
    """A model file beside its table."""
    wards.to_csv(tmp_path / "wards.csv", index=False)
    (tmp_path / "wards.toml").write_text(WARDS, encoding="utf-8")
    return tmp_path / "wards.toml"


@pytest.fixture
def fake() -> xr.DataTree:
    """A posterior as ``fit`` would leave it, of numbers and not of draws."""
    return fake_posterior(tasks=("stay", "mood", "readmit"))


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision, for a whole test."""
    import jax

    with jax.enable_x64(True):
        yield
