"""Trees as netCDF files, with a digest of every variable: HDF5 does not see by itself what was damaged."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

STAMP = "stamp"  # the attributes as one variable: an attribute of HDF5 holds no more than 64 kB


class DamageError(ValueError):
    """Variables that are not what was written, by their names."""


def write(tree: xr.DataTree, path: str | Path) -> None:
    """Write a tree; its attributes become a variable of bytes."""
    import h5netcdf  # noqa: F401  xarray's own error names no package

    stamp = {"attrs": _plain(tree.attrs), "digests": _digests(tree)}
    content = np.frombuffer(json.dumps(stamp).encode(), np.uint8)
    groups = {str(name): group.to_dataset() for name, group in tree.children.items()}
    marked = xr.DataTree.from_dict({"/": xr.Dataset({STAMP: ("byte", content)}), **groups})
    marked.to_netcdf(path, engine="h5netcdf", encoding=_packed(tree))


def read(path: str | Path) -> xr.DataTree:
    """A tree that ``write`` wrote.

    Raises
    ------
    DamageError
        When variables are not what was written.
    """
    import h5netcdf  # noqa: F401

    tree = xr.open_datatree(path, engine="h5netcdf").load()
    tree.close()
    stamp = json.loads(np.asarray(tree[STAMP]).tobytes())
    found = xr.DataTree.from_dict({str(name): group.to_dataset() for name, group in tree.children.items()})
    seen = _digests(found)
    if wrong := [name for name, digest in stamp["digests"].items() if seen.get(name) != digest]:
        raise DamageError(", ".join(wrong))
    found.attrs = stamp["attrs"]
    return found


def _plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON has them."""
    return {str(k): v.item() if isinstance(v, np.generic) else v for k, v in attrs.items()}


def _digests(tree: xr.DataTree) -> dict[str, str]:
    """A digest of each variable and coordinate, whatever the machine's order of bytes."""
    found = {}
    for group, node in tree.children.items():
        for name, variable in node.variables.items():
            values = np.asarray(variable.values)
            if values.dtype.kind in "iufb":
                content = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
            else:
                content = "\0".join(map(str, values.ravel())).encode()
            found[f"{group}/{name}"] = blake2b(content, digest_size=8).hexdigest()
    return found


def _packed(tree: xr.DataTree) -> dict[str, dict[str, dict[str, object]]]:
    """Compression for the numbers of each group."""
    return {
        f"/{group}": {
            str(name): {"zlib": True, "complevel": 1}
            for name, variable in node.data_vars.items()
            if variable.ndim and variable.dtype.kind in "iuf"
        }
        for group, node in tree.children.items()
    }
