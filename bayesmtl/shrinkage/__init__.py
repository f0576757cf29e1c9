"""Shrinkage: how large the weights of a feature are, in all tasks.

A shrinkage is ``shrinkage(task, feature, *, option=default, ...)`` and returns one positive scale per
feature; [feature]. It multiplies the standard weights of the relation, in standard deviations of the
response (on the scale of the linear predictor) per standard deviation of the predictor. One that can't
tell which scale a feature has returns a :class:`~bayesmtl.sharing.Mixture`.
"""
