"""Likelihoods: how the cells of a task scatter about its linear predictor.

A likelihood is ``likelihood(eta, cells, *, link=..., option=default, ...)`` and returns an
``Outcome``. ``eta [cell]`` is the linear predictor without the offset, at centred predictors. The option
``link`` says what ``eta`` is the linear predictor of: with ``"identity"`` it is in the response's units.
An option annotated ``Real``, ``Positive`` or ``Fraction`` is a prior, or a number to fix the parameter
at. An option ``levels`` makes the response graded, and ``cells.grades`` its values.
"""
