"""Known covariances between the levels of a group, such as a relationship matrix of a pedigree."""

from pathlib import Path

import numpy as np

from bayesmtl import table_files
from bayesmtl.errors import Finding, ModelError, listed

_CLOSE = 1e-6  # as far as a matrix that was written down with few digits may be from its transpose


def covariance(path: Path, levels: list[str], where: str) -> tuple[list[str], np.ndarray]:
    """The levels that a file has a covariance for, and the covariance; [level, level].

    The file's header names the levels; its rows are in the same order, or have their level in a first column.
    Levels that the table does not have come last: they can be predicted from those that it has.

    Raises
    ------
    ModelError
        When the file can't be read, lacks a level, or holds no covariance.
    """
    table = table_files.read(path)
    header = list(map(str, table.columns))
    if len(header) == len(table) + 1:
        rows, header, values = table.iloc[:, 0].astype(str).tolist(), header[1:], table.iloc[:, 1:]
    else:
        rows, values = header, table
    wrong = []
    if len(table) != len(header):
        problem = f"has {len(table)} rows for {len(header)} levels."
        wrong.append(Finding(where, f"{path.name} {problem}", "Give a square matrix, its levels as header."))
    elif sorted(rows) != sorted(header) or len(set(header)) < len(header):
        problem = f"{path.name} names other levels in its first column than in its header, or one twice."
        wrong.append(Finding(where, problem, "Name each level once in both."))
    elif lacking := [level for level in levels if level not in header]:
        wrong.append(Finding(where, f"{path.name} lacks {listed(lacking)}.", "Add them, or drop their rows."))
    elif not all(kind.kind in "iuf" for kind in values.dtypes) or not np.isfinite(values.to_numpy()).all():
        wrong.append(Finding(where, f"{path.name} holds what is no finite number.", "Mend the file."))
    if wrong:
        raise ModelError(*wrong)
    order = levels + [level for level in header if level not in set(levels)]
    across, down = [header.index(level) for level in order], [rows.index(level) for level in order]
    matrix = values.to_numpy(float)[np.ix_(down, across)]
    if not np.allclose(matrix, matrix.T, rtol=0, atol=_CLOSE * np.abs(matrix).max()):
        raise ModelError(Finding(where, f"{path.name} is not symmetric.", "Give a covariance."))
    matrix = (matrix + matrix.T) / 2
    eigenvalues = np.linalg.eigvalsh(matrix)
    if eigenvalues[0] <= 1e-10 * eigenvalues[-1]:
        remedy = "Levels that are copies of one another must be one level; or add a little to the diagonal."
        raise ModelError(Finding(where, f"{path.name} is not positive definite.", remedy))
    return order, matrix
