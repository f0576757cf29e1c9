"""Posteriors as files: what is read is what was written, in any process, or what is damaged is named."""

import json
import sys
import zipfile

import numpy as np
import pytest
import xarray as xr
from fakes import with_groups

import bayesmtl as bm
from bayesmtl import netcdf, store
from bayesmtl.errors import ModelError

ENDINGS = [".zarr.zip", ".nc"]


@pytest.fixture(params=ENDINGS)
def ending(request):
    if request.param == ".nc":
        pytest.importorskip("h5netcdf", reason="netCDF is an extra")
    return request.param


def test_what_is_read_is_what_was_written(fake, ending, tmp_path):
    post = with_groups(fake)
    post.attrs["groups"] = json.dumps(["x" * 100_000])  # more than HDF5 keeps in an attribute
    post["posterior"]["share"][0, 0] = np.nan
    back = bm.read(bm.save(post, tmp_path / f"p{ending}"))
    assert set(back.children) == set(post.children)
    for group in post.children:
        xr.testing.assert_equal(back[group].to_dataset(), post[group].to_dataset())
        for name, variable in post[group].to_dataset().variables.items():
            assert back[group][name].dims == variable.dims
    assert {**back.attrs, "format": 0, "digests": 0} == {**post.attrs, "format": 0, "digests": 0}
    assert [p.name for p in tmp_path.iterdir()] == [f"p{ending}"]


def test_what_is_said_of_rows_is_written_where_the_fit_kept_it_or_when_asked(fake, ending, tmp_path):
    path, rows = tmp_path / f"p{ending}", {"observed_data", "log_likelihood", "posterior_predictive"}
    assert rows <= set(bm.read(bm.save(fake, path)).children)
    few = bm.read(bm.save(fake, path, rows=False))
    assert set(few.children) == set(fake.children) - rows - {"prior_predictive"}
    large = fake.copy()  # as a fit of very many rows leaves it
    for name in ("log_likelihood", "posterior_predictive", "prior_predictive"):
        del large[name]
    assert "observed_data" not in bm.read(bm.save(large, path)).children
    assert "observed_data" in bm.read(bm.save(large, path, rows=True)).children


def test_the_file_of_a_million_rows_is_small(fake, ending, tmp_path):
    large = fake.copy()
    for name in ("log_likelihood", "posterior_predictive", "prior_predictive"):
        del large[name]
    few = bm.save(large, tmp_path / f"few{ending}").stat().st_size
    large["observed_data"] = xr.DataTree(xr.Dataset({"stay": ("stay.row", np.zeros(1_000_000))}))
    assert bm.save(large, tmp_path / f"many{ending}").stat().st_size == few


def flipped(path, at):
    """A file with one bit turned round."""
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(bytes(content))


def test_a_damaged_variable_is_named(fake, tmp_path):
    path = bm.save(fake, tmp_path / "p.zarr.zip")
    with zipfile.ZipFile(path) as archive:
        inside = next(i for i in archive.infolist() if i.filename.startswith("posterior/weight/c"))
    flipped(path, inside.header_offset + 60 + len(inside.filename) + inside.file_size // 2)
    with pytest.raises(ModelError, match=r"is damaged or cut short at posterior/weight. Fit the model again"):
        bm.read(path)


def test_a_damaged_variable_of_netcdf_is_named(fake, tmp_path, monkeypatch):
    pytest.importorskip("h5netcdf", reason="netCDF is an extra")
    monkeypatch.setattr(netcdf, "_packed", lambda tree: {})  # the numbers stand in the file as they are
    path = bm.save(fake, tmp_path / "p.nc")
    bm.read(path)
    number = fake["posterior"]["weight"].values[0, 3].tobytes()
    flipped(path, path.read_bytes().index(number) + 3)
    with pytest.raises(ModelError, match=r"is damaged or cut short at posterior/weight. Fit the model again"):
        bm.read(path)


def test_any_bit_that_is_flipped_is_found_or_changes_nothing(fake, ending, tmp_path):
    """Of 15 files with one damaged bit none is read as another posterior."""
    whole, draw = bm.save(fake, tmp_path / f"p{ending}"), np.random.default_rng(1)
    known, content = bm.read(whole), whole.read_bytes()
    found = 0
    for at in draw.integers(0, len(content), 15):
        whole.write_bytes(content)
        flipped(whole, at)
        try:
            again = bm.read(whole)
        except ModelError as error:
            found += 1
            assert "damaged" in str(error) or "is no posterior" in str(error) or "not written" in str(error)
        else:
            for group in known.children:
                xr.testing.assert_equal(again[group].to_dataset(), known[group].to_dataset())
    assert found > 3


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_a_finding(fake, ending, tmp_path, keep):
    path = bm.save(fake, tmp_path / f"p{ending}")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(ModelError, match="is damaged or cut short"):
        bm.read(path)


def test_a_file_of_a_newer_version_is_a_finding_and_one_of_an_older_is_read(
    fake, ending, tmp_path, monkeypatch
):
    path = bm.save(fake, tmp_path / f"p{ending}")
    monkeypatch.setattr(store, "FORMAT", store.FORMAT + 1)
    assert set(bm.read(path).children) == set(fake.children)
    newer = bm.save(fake, tmp_path / f"q{ending}")
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"has format 2\. Install a newer bayesmtl"):
        bm.read(newer)


def test_netcdf_without_its_package_is_a_finding(fake, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5netcdf", None)
    with pytest.raises(ModelError, match=r"needs h5netcdf and h5py\. Install bayesmtl\[netcdf\]"):
        bm.save(fake, tmp_path / "p.nc")
    (tmp_path / "q.nc").write_bytes(b"\x89HDF and more")
    with pytest.raises(ModelError, match="is netCDF, which needs h5netcdf"):
        bm.read(tmp_path / "q.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["q.nc"]
