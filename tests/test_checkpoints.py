"""Checkpoints: a fit that is cut off at any moment goes on to the draws of one that was not."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from numpyro.infer import NUTS

import bayesmtl as bm
from bayesmtl import checkpoints, cli, pieces, sampling, trees
from bayesmtl.checkpoints import Standing, opened, resume, save
from bayesmtl.encoded import encode
from bayesmtl.errors import ModelError
from bayesmtl.fingerprint import fingerprint
from bayesmtl.sampling import Chain, Progress

FIT = {"model": "0" * 64, "seed": "1", "versions": "bayesmtl 1"}
CHAINS, WARMUP, DRAWS = 2, 150, 1300


class Cut(BaseException):
    """Stands in for a kill: nothing more is saved."""


def standing(count, left=3):
    """Two chains after this many draws, the last of them new."""
    return [
        Standing(
            left, [np.arange(3.0) + count, np.array(c)], [[np.full((1, 2), count - 1.0), [c]]], count - 1
        )
        for c in range(2)
    ]


def whole(checkpoint):
    """How many draws a checkpoint holds; what is in it goes together, or this fails."""
    saved = resume(checkpoint, FIT)
    (count,) = {len(one.draws) for one in saved} or {0}
    for c, one in enumerate(saved):
        np.testing.assert_array_equal(one.state[0], np.arange(3.0) + count)
        draws = [np.concatenate(blocks) for blocks in zip(*one.draws)]
        np.testing.assert_array_equal(draws[0], np.arange(count)[:, None] * np.ones(2))
        np.testing.assert_array_equal(draws[1], np.full(count, c))
    return count


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.part"


@pytest.fixture
def saved(path):
    """A checkpoint of four saves, left by a fit that had more to draw."""
    with opened(path) as checkpoint:
        resume(checkpoint, FIT)
        for count in range(1, 5):
            save(checkpoint, standing(count))
    return path


# --- the file -------------------------------------------------------------------------------------


def test_what_is_saved_is_read_in_order(saved):
    with opened(saved) as checkpoint:
        assert whole(checkpoint) == 4
        assert [one.left for one in resume(checkpoint, FIT)] == [3, 3]


def test_a_checkpoint_goes_when_nothing_is_left_to_draw_or_nothing_was_saved(path):
    with opened(path) as checkpoint:
        resume(checkpoint, FIT)
    assert not path.exists()
    with pytest.raises(Cut), opened(path) as checkpoint:
        resume(checkpoint, FIT)
        save(checkpoint, standing(1, left=0))
        raise Cut  # before what was drawn was made use of
    with opened(path) as outer:
        with opened(outer) as checkpoint:
            assert len(resume(checkpoint, FIT)) == 2
        assert path.exists()
    assert not list(path.parent.iterdir())


SAVES = f"""
import sys
import numpy as np
from bayesmtl.checkpoints import Standing, opened, resume, save

with opened(sys.argv[1]) as checkpoint:
    count = max([len(one.draws) for one in resume(checkpoint, {FIT})], default=0)
    while True:
        count += 1
        state, draw = np.arange(3.0) + count, np.full((1, 2), count - 1.0)
        save(checkpoint, [Standing(3, [state, np.array(c)], [[draw, [c]]], count - 1) for c in range(2)])
        print(count, flush=True)
"""


def test_a_kill_while_it_is_written_leaves_it_whole(path):
    """Saves follow each other without a pause, so that nearly every kill comes in one."""
    draw = np.random.default_rng(4)
    for _ in range(6):
        run = [sys.executable, "-c", SAVES, str(path)]
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as child:
            told = [child.stdout.readline()]
            time.sleep(draw.uniform(0, 0.1))
            child.kill()
            told += child.stdout
        with opened(path) as checkpoint:
            # what was said to be saved is saved, and of the rest at most what the kill came in
            assert 0 <= whole(checkpoint) - int(told[-1]) <= 1


def test_a_failing_save_leaves_what_was_there(saved, monkeypatch):
    with opened(saved) as checkpoint:
        monkeypatch.setattr(checkpoints, "_packed", full_at(3))
        with pytest.raises(ModelError, match=r"a\.part: can't be read or written: disk full"):
            save(checkpoint, standing(5))
        monkeypatch.undo()
        assert whole(checkpoint) == 4
        save(checkpoint, standing(5))
        assert whole(checkpoint) == 5


def full_at(turn):
    """Pack arrays until the disk is full, between the state of one chain and its draws."""
    packed, turns = checkpoints._packed, iter(range(1, 9))

    def pack(arrays):
        if next(turns) == turn:
            error = sqlite3.OperationalError("disk full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        return packed(arrays)

    return pack


# --- what is no checkpoint of this fit --------------------------------------------------------------


def other_database(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table cells (x)")


def newer(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    content = path.read_bytes()
    at = content.index(np.full((1, 2), 2.0).tobytes())  # the third draw
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])


def gap(path):
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("delete from draws where chain = 1 and first = 2")


@pytest.mark.parametrize(
    "harm, words",
    [
        (lambda path: path.write_text("x,y\n1,2\n" * 99), "is no checkpoint"),
        (lambda path: [path.unlink(), other_database(path)], "is no checkpoint"),
        (lambda path: [path.unlink(), path.mkdir()], "can't be read or written"),
        (newer, "has format 99. Install a newer bayesmtl"),
        (cut_short, "is damaged"),
        (flipped, "is damaged"),
        (gap, "is damaged"),
    ],
    ids=["text", "database", "folder", "newer", "cut short", "flipped", "gap"],
)
def test_a_foreign_or_damaged_file_is_a_finding_and_stays_as_it_is(saved, harm, words):
    harm(saved)
    before = saved.read_bytes() if saved.is_file() else None
    with pytest.raises(ModelError, match=rf"^checkpoint a\.part: {words}"), opened(saved) as checkpoint:
        resume(checkpoint, FIT)
    assert before is None or saved.read_bytes() == before


def test_a_place_that_is_not_there_is_a_finding(tmp_path):
    with (
        pytest.raises(ModelError, match=r"a\.part: can't be read or written"),
        opened(tmp_path / "no/a.part"),
    ):
        pass


def test_two_fits_do_not_share_a_checkpoint(saved):
    with opened(saved), pytest.raises(ModelError, match="is in use by another fit"), opened(saved):
        pass


def test_another_fit_is_a_finding_that_says_what_differs(saved):
    before = saved.read_bytes()
    for other, words in (
        ({"seed": "2"}, r"not the same seed \(1; here 2\)\."),
        ({"model": "1" * 64, "program": "2"}, r"not the same model\."),
        (
            {"seed": "2", "versions": "bayesmtl 2"},
            r"seed \(1; here 2\), versions \(bayesmtl 1; here bayesmtl 2\)",
        ),
        ({"program": "2"}, r"not the same program\."),
    ):
        with pytest.raises(ModelError, match=words), opened(saved) as checkpoint:
            resume(checkpoint, FIT | other)
    assert saved.read_bytes() == before


def test_a_fingerprint_tells_models_tables_seeds_and_programs_apart():
    draw = np.random.default_rng(3)
    table = pd.DataFrame(draw.normal(size=(23, 3)), columns=["x", "a", "b"])

    def of(formula="x", table=table, seed=1, engine="nuts, 4 chains of 1000 + 1000", program="add"):
        model = bm.Model(tasks={"a": "gaussian", "b": "gaussian"}, formula=formula)
        design = encode(model, table)
        return fingerprint(design, design.data, seed, engine, program)

    one = of()
    assert one == of(table=table.copy()) and "jaxlib " in one["versions"]
    turned = table.assign(x=table["x"].to_numpy()[::-1])  # of the same mean and standard deviation
    for word, other in {
        "model": of(formula="1 + x"),
        "table": of(table=turned),
        "seed": of(seed=2),
        "engine": of(engine="nuts, 4 chains of 1000 + 2000"),
        "program": of(program="multiply"),
    }.items():
        assert {key for key in one if one[key] != other[key]} == {word}


# --- the sampler ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel():
    """A scale and what it scales, compiled; every piece takes its time, so that there are many to be cut."""

    def program(data):
        scale = numpyro.sample("scale", dist.HalfNormal(1.0))
        numpyro.sample("mean", dist.Normal(0.0, scale).expand([3]))

    with jax.enable_x64(True):
        nuts = NUTS(program, dense_mass=True)
        keys = jax.random.split(jax.random.key(8), CHAINS)
        begin = jax.jit(lambda key: nuts.init(key, WARMUP, None, ({},), {}))
        states = [begin(key) for key in keys]
        piece = jax.jit(pieces.piece(nuts)).lower(states[0], {}, np.int32(1)).compile()

    def slow(state, data, count):
        time.sleep(0.02)
        return piece(state, data, count)

    return slow, states


def run(kernel, watch=lambda progress: None, checkpoint=None):
    """Draw from where the chains were saved; the draws of each, and its progress."""
    piece, states = kernel
    chains = [Chain(state) for state in states]
    progress = Progress("nuts", CHAINS, WARMUP, DRAWS, [0] * CHAINS)
    with jax.enable_x64(True):
        if checkpoint:
            sampling.resume(chains, progress, resume(checkpoint, FIT))
            watch(progress)
        sampling.sample(piece, {}, chains, progress, watch, checkpoint)
    return [pieces.joined(chain.drawn) for chain in chains], progress


def test_a_run_cut_at_any_moment_goes_on_to_the_same_draws(kernel, path, monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(checkpoints, "COST", float("inf"))
    unbroken, ended = run(kernel)
    written = []

    def counted(checkpoint, standing):
        standing = [replace(one, draws=list(one.draws)) for one in standing]
        save(checkpoint, standing)
        written.extend(len(block[0]) for one in standing for block in one.draws)

    monkeypatch.setattr(checkpoints, "save", counted)
    assert min(len(chain["diverging"]) for chain in unbroken) == DRAWS
    begun, before, draw = [], [0, 0], np.random.default_rng(6)
    while not begun or path.exists():
        seen, moment = [], draw.uniform(2, 5)

        def watch(progress, moment=moment, seen=seen):
            seen.append(list(progress.done))
            if len(seen) > moment:
                raise Cut

        with contextlib.suppress(Cut), opened(path) as checkpoint:
            resumed, progress = run(kernel, watch, checkpoint)
        # it goes on from its last save, which came just after it was last seen before the cut
        assert all(here >= there for here, there in zip(seen[0], before))
        begun.append(seen[0])
        before = seen[-2]
    assert begun[0] == [0, 0] and len(begun) > 3
    jax.tree.map(np.testing.assert_array_equal, resumed, unbroken)
    assert progress.divergences == ended.divergences and sum(written) == CHAINS * DRAWS  # none twice


# --- fits -------------------------------------------------------------------------------------------


def test_a_fit_that_is_stopped_goes_on_to_the_same_draws(path, monkeypatch):
    """In the warm-up, then after it, when it keeps what is drawn and may still be brought to its end."""
    monkeypatch.setattr(trees, "grow", lambda design, program, run, seed: run)  # which takes longer
    monkeypatch.setattr(trees, "stamp", lambda run, *_: run)
    draw = np.random.default_rng(3)
    table = pd.DataFrame(draw.normal(size=(41, 2)), columns=["x", "y"])
    size = {"chains": 2, "warmup": 4000, "draws": 6000}
    model = bm.Model(tasks={"y": "gaussian"}, formula="x", engine={"kind": "auto", **size})
    seen = []

    def stopped_after(count):
        def watch(progress):
            seen.append(min(progress.done))
            if seen[-1] > count and not progress.stopped:
                raise KeyboardInterrupt

        seen.clear()
        return watch

    with pytest.raises(ModelError, match=r"in the warm-up\. The same fit goes on from its checkpoint"):
        bm.fit(model, table, seed=1, watch=stopped_after(100), checkpoint=path)
    part = bm.fit(model, table, seed=1, watch=stopped_after(4100), checkpoint=path)
    drawn = part.stats["diverging"].shape[1]
    assert seen[0] > 100 and not part.complete and drawn < 6000 and path.exists()
    ended = bm.fit(model, table, seed=1, watch=stopped_after(10**9), checkpoint=str(path))
    assert seen[0] >= 4000 + drawn and ended.complete and not path.exists()
    unbroken = bm.fit(model, table, seed=1, watch=stopped_after(10**9))
    for name in unbroken.sites:
        np.testing.assert_array_equal(ended.sites[name], unbroken.sites[name])
    for name in unbroken.stats:
        np.testing.assert_array_equal(ended.stats[name], unbroken.stats[name])
        np.testing.assert_array_equal(part.stats[name], unbroken.stats[name][:, :drawn])


@pytest.fixture
def fitted(fake, monkeypatch):
    """A fit that saves one draw, with as many left as its first item says; it gives the fake posterior."""
    left = [0]

    def fit(model, table=None, *, seed, watch=None, checkpoint=None):
        resume(checkpoint, FIT)
        save(checkpoint, standing(1, *left))
        return fake

    monkeypatch.setattr("bayesmtl.posterior.fit", fit)
    return left


def test_the_command_line_removes_a_checkpoint_when_the_posterior_is_written(
    ward_file, tmp_path, fitted, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    fit = ["fit", str(ward_file), "--checkpoint", "a.part", "--out", "p.zarr.zip"]

    def full(post, out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("bayesmtl.store.save", full)
        assert cli.main(fit) == 1
    assert (tmp_path / "a.part").exists() and "No space left" in capsys.readouterr().err
    assert cli.main(fit) == 0
    assert not (tmp_path / "a.part").exists() and (tmp_path / "p.zarr.zip").exists()
    assert "checkpoint" not in capsys.readouterr().err
    fitted[0] = 7  # stopped by an interrupt, which keeps what is drawn
    assert cli.main(fit) == 0
    assert "checkpoint: a.part; the same command goes on from it\n" in capsys.readouterr().err
    for question in ("weights", "diagnostics"):
        fitted[0] = 0
        assert cli.main([question, str(ward_file), "--checkpoint", "a.part"]) == 0
        assert not (tmp_path / "a.part").exists()


@pytest.mark.parametrize(
    "argv, words",
    [
        (["fit", "wards.toml", "--out", "a.part", "--checkpoint", "a.part"], "are the same file"),
        (["weights", "p.zarr.zip", "--checkpoint", "a.part"], "a posterior is drawn already"),
    ],
)
def test_a_checkpoint_that_makes_no_sense_is_a_misuse(argv, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2 and words in capsys.readouterr().err and not os.listdir(tmp_path)


def test_the_command_line_says_what_a_checkpoint_is_not(ward_file, tmp_path, capsys):
    table = tmp_path / "wards.csv"
    before = table.read_bytes()
    assert cli.main(["fit", str(ward_file), "--checkpoint", str(table), "--out", str(tmp_path / "p")]) == 1
    assert capsys.readouterr().err == (
        f"{ward_file}: checkpoint wards.csv: is no checkpoint. Give another path.\n"
    )
    assert table.read_bytes() == before


# --- kills and memory, slowly -----------------------------------------------------------------------

CHILD = """
import os, sys
os.sched_setaffinity(0, map(int, sys.argv[5].split()))  # before JAX counts them
import jax, numpy as np, pandas as pd
import bayesmtl as bm
from bayesmtl import checkpoints
from bayesmtl.chains import Problem
from bayesmtl.encoded import encode
from bayesmtl.parts import find
from bayesmtl.program import build
from bayesmtl.runtime import ready

checkpoints.EVERY = 0.2
engine, draws, path, out = sys.argv[1:5]
table = pd.DataFrame(np.random.default_rng(3).normal(size=(41, 3)), columns=["x", "a", "b"])
design = encode(bm.Model(tasks={"a": "gaussian", "b": "gaussian"}, formula="x"), table)
page = os.sysconf("SC_PAGE_SIZE")

def watch(progress):
    size = int(open("/proc/self/statm").read().split()[1]) * page
    print(sum(progress.done), size, flush=True)

with ready(), checkpoints.opened(path or None) as held:
    data = jax.tree.map(jax.numpy.asarray, design.data)
    problem = Problem(design, build(design), data, 5, watch, held)
    run = find("engines", engine)(problem, chains=2, warmup=300, draws=int(draws))
    if out:
        np.savez(out, **run.sites, **run.stats)
"""


@contextlib.contextmanager
def child(engine, draws, path="", out="", cores=None):
    """A fit in a process of its own, on these cores, that says its iterations and its memory; and its end."""
    cores = " ".join(map(str, cores or os.sched_getaffinity(0)))
    run = [sys.executable, "-c", CHILD, engine, str(draws), str(path), str(out), cores]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        yield process


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["collapsed", "nuts"])
def test_a_killed_fit_draws_as_an_unbroken_one_on_one_core(engine, path, tmp_path):
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    lines = []
    with child(engine, 12_000, out=whole, cores={min(os.sched_getaffinity(0))}) as process:
        for line in process.stdout:
            lines.append((time.monotonic(), int(line.split()[0])))
    (began, _), (ended, total) = lines[0], lines[-1]
    assert process.returncode == 0 and total == 2 * 12_300
    draw, begun = np.random.default_rng(7), []
    for kill in (True, True, False):  # both before its end, however fast the machine is
        moment, pause, seen = draw.uniform(0, 0.3 * total), draw.uniform(0, 0.1 * (ended - began)), []
        with child(engine, 12_000, path, parts) as process:
            for line in process.stdout:
                seen.append(int(line.split()[0]))
                if kill and seen[-1] - seen[0] > moment:
                    time.sleep(pause)
                    process.kill()
        begun.append(seen[0])
    assert begun == sorted(begun) and process.returncode == 0 and not list(tmp_path.glob("a.part*"))
    with np.load(whole) as one, np.load(parts) as other:
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
def test_memory_is_flat(tmp_path):
    """Over a minute of sampling, but for the draws, each of which is 73 bytes and a share of its piece."""
    seen, ends = [], None
    with child("collapsed", 10**8, tmp_path / "a.part") as process:
        for line in process.stdout:
            now = time.monotonic()
            ends = ends or now + 65
            seen.append([now, *map(int, line.split())])
            if now > ends:
                process.kill()
    when, done, size = np.array(seen).T
    rest = (size - 110 * done)[when > when[0] + 5]
    assert done[-1] > 20_000 and rest[-1] < 1.05 * rest[0]
