"""Posteriors as files: one zip of a zarr tree, written whole or not at all."""

import os
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import xarray as xr

from bayesmtl.errors import Finding, ModelError

FORMAT = 1  # raised when an older package could not read a newer file


def save(post: xr.DataTree, path: str | Path) -> Path:
    """Write a posterior to one file; ArviZ and xarray read it too.

    The file appears when it is complete: an interrupt leaves what was there before.

    Examples
    --------
    >>> save(post, "election.zarr.zip")  # doctest: +SKIP
    """
    from zarr.storage import ZipStore

    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    os.unlink(name)
    try:
        marked = post.copy()
        marked.attrs = dict(post.attrs) | {"format": FORMAT}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text as fixed-length strings, which zarr 3 warns of
            store = ZipStore(name, mode="w")
            marked.to_zarr(store, mode="w", consolidated=False)
            store.close()
        os.replace(name, path)
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
    from zarr.storage import ZipStore

    where = f"posterior {Path(path).name}"
    again = "Fit the model again, or take another copy of the file."
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            store: Any = ZipStore(path, mode="r")  # which xarray takes and its hints don't name
            tree = xr.open_datatree(store, engine="zarr", consolidated=False).load()
            store.close()
    except OSError as error:
        raise ModelError(
            Finding(where, f"can't be read: {error.strerror or error}.", "Look at the path.")
        ) from None
    except zipfile.BadZipFile:
        raise ModelError(Finding(where, "is damaged or cut short.", again)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(Finding(where, f"is no posterior: {error}", again)) from None
    if not {"model", "encodings", "format"} <= set(tree.attrs):
        raise ModelError(Finding(where, "was not written by bayesmtl.", again))
    if tree.attrs["format"] > FORMAT:
        raise ModelError(Finding(where, f"has format {tree.attrs['format']}.", "Install a newer bayesmtl."))
    return tree
