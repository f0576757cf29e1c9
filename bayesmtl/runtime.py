"""How JAX runs: in double precision, each chain on one core, with compiled programs kept between sessions."""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import jaxlib
import scipy.linalg  # noqa: F401  its OpenBLAS must be loaded to be told how many threads it has
from platformdirs import user_cache_path
from threadpoolctl import threadpool_limits

ONCE = {"xla_backend_optimization_level": 0}  # of a program that runs few times: half the time to compile
LARGEST = 2**29  # bytes of compiled programs; what was not used for longest goes first


@contextmanager
def ready() -> Iterator[None]:
    """Double precision, and one thread for LAPACK, whose calls from chains would wait for each other.

    Compiled programs go to the user's cache folder, unless JAX was given one: a model is compiled once
    on a machine. ``JAX_ENABLE_COMPILATION_CACHE=false`` keeps none.
    """
    if jax.config.jax_compilation_cache_dir is None:
        _keep()
    with jax.enable_x64(True), threadpool_limits(1, user_api="blas"):
        yield


def folder() -> Path:
    """One for each version of jaxlib and kind of processor, whose programs others may not understand."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    features = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    kind = hashlib.sha256(f"{platform.machine()} {platform.processor()} {features}".encode()).hexdigest()
    return user_cache_path("bayesmtl", appauthor=False) / f"jaxlib-{jaxlib.__version__}-{kind[:8]}"


def _keep() -> None:
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that can't be written to: every session compiles anew
        return
    jax.config.update("jax_compilation_cache_dir", str(place))
    jax.config.update("jax_compilation_cache_max_size", LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
