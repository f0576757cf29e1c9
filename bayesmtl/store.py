"""Posteriors as files, written whole or not at all: a zip of a zarr tree, or netCDF."""

import os
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import xarray as xr

from bayesmtl import netcdf
from bayesmtl.errors import Finding, ModelError

FORMAT = 1  # raised when an older package could not read a newer file
BY_ROW = ("observed_data", "log_likelihood", "posterior_predictive", "prior_predictive")


def save(post: xr.DataTree, path: str | Path, *, rows: bool | None = None) -> Path:
    """Write a posterior to one file; ArviZ and xarray read it too.

    The file appears when it is complete: an interrupt leaves what was there before.

    Parameters
    ----------
    post
        A posterior.
    path
        The file: netCDF if it ends in ``.nc``, which takes h5netcdf; else a zip of a zarr tree.
    rows
        Whether what is said of each row is written: responses, their log likelihoods and predictions. By
        default where the fit kept the latter, which one of very many rows does not.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ModelError
        When it is to be netCDF and there is no h5netcdf.

    Examples
    --------
    >>> save(post, "election.zarr.zip")  # doctest: +SKIP
    """
    path, rows = Path(path), "log_likelihood" in post if rows is None else rows
    groups = {str(name): post[str(name)].to_dataset() for name in post.children if rows or name not in BY_ROW}
    marked = xr.DataTree.from_dict(groups)
    marked.attrs = dict(post.attrs) | {"format": FORMAT}
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    os.unlink(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text as fixed-length strings, which zarr 3 warns of
            (netcdf.write if path.suffix == ".nc" else _zip)(marked, name)
        os.replace(name, path)
    except ImportError:
        problem = "is netCDF, which needs h5netcdf and h5py."
        raise ModelError(Finding(f"posterior {path.name}", problem, "Install bayesmtl[netcdf].")) from None
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def read(path: str | Path) -> xr.DataTree:
    """A posterior that ``save`` wrote.

    Raises
    ------
    ModelError
        When the file is missing, damaged, cut short, not a posterior, or from a newer version.
    """
    where = f"posterior {Path(path).name}"
    again = "Fit the model again, or take another copy of the file."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = netcdf.read(path) if _is_netcdf(path) else _unzip(path)
    except ImportError:
        problem = "is netCDF, which needs h5netcdf and h5py."
        raise ModelError(Finding(where, problem, "Install bayesmtl[netcdf].")) from None
    except (zipfile.BadZipFile, netcdf.DamageError) as error:
        raise ModelError(Finding(where, f"is damaged or cut short{_at(error)}.", again)) from None
    except OSError as error:
        if error.errno is None:  # of HDF5 for what it can't make out
            raise ModelError(Finding(where, "is damaged or cut short.", again)) from None
        raise ModelError(
            Finding(where, f"can't be read: {error.strerror or error}.", "Look at the path.")
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(Finding(where, f"is no posterior: {error}", again)) from None
    if not {"model", "encodings", "format"} <= set(tree.attrs):
        raise ModelError(Finding(where, "was not written by bayesmtl.", again))
    if tree.attrs["format"] > FORMAT:
        raise ModelError(Finding(where, f"has format {tree.attrs['format']}.", "Install a newer bayesmtl."))
    return tree


def _zip(tree: xr.DataTree, path: str) -> None:
    """Write a tree of zarr as one zip."""
    from zarr.storage import ZipStore

    store = ZipStore(path, mode="w")
    tree.to_zarr(store, mode="w", consolidated=False)
    store.close()


def _unzip(path: str | Path) -> xr.DataTree:
    """A tree of zarr in a zip, whose every member has the checksum that it was written with."""
    from zarr.storage import ZipStore

    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise netcdf.DamageError("/".join(bad.split("/")[:2]))
    store: Any = ZipStore(path, mode="r")  # which xarray takes and its hints don't name
    tree = xr.open_datatree(store, engine="zarr", consolidated=False).load()
    store.close()
    return tree


def _is_netcdf(path: str | Path) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"\x89HDF"


def _at(error: Exception) -> str:
    """What of a file is damaged, where that is known."""
    return f" at {error}" if isinstance(error, netcdf.DamageError) else ""
