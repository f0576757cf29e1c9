"""How JAX runs: double precision, a core for each chain, and compiled programs kept."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bayesmtl.runtime import ready


def test_chains_have_one_thread_of_lapack_each_and_the_user_has_all_again_after():
    with threadpool_limits(2, user_api="blas"):
        with ready():
            assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {1}
            assert jnp.ones(1).dtype == "float64"
        assert {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"} == {2}
    assert jax.config.jax_compilation_cache_dir == os.environ["JAX_COMPILATION_CACHE_DIR"]


COMPILE = """
import jax, jax.numpy as jnp
from bayesmtl.runtime import ready
with ready():
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    print(jax.jit(lambda x: jnp.linalg.cholesky(x @ x.T + jnp.eye(3)).sum())(jnp.ones((3, 3))))
"""


@pytest.mark.parametrize("home", ["a folder", "a file"])
def test_compiled_programs_are_kept_where_there_is_a_place(tmp_path, home):
    place = tmp_path / "cache"
    if home == "a file":  # so that no folder can be made in it
        place.write_text("")
    env = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")} | {"XDG_CACHE_HOME": str(place)}
    run = subprocess.run([sys.executable, "-c", COMPILE], env=env, capture_output=True, text=True)
    assert run.returncode == 0 and float(run.stdout) > 0, run.stderr
    kept = list(place.glob("bayesmtl/jaxlib-*/jit__lambda*"))
    assert bool(kept) == (home == "a folder")
