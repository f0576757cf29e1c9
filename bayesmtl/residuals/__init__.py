"""Residuals: what the cells of one row have in common beyond their predictors.

A residual is ``residual(task, rows, student, unit, *, option=default, ...)`` with the linear predictors that
take part, the number of rows that have a cell of them, whether they are Student-t tasks, and their units. It
returns a ``Residual``: what each row adds to the linear predictors, in their units, or the correlation of the
residuals, and for Student-t tasks their common degrees of freedom.
"""
