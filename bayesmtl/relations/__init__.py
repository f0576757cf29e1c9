"""Relations: how tasks share weights.

A relation is ``relation(task, feature, *, option=default, ...)`` and returns a loading matrix,
[task, factor] or [feature, task, factor], whose rows have length one. With ``z [factor, feature]`` standard
normal the weights are ``loading @ z``: each has prior mean 0 and variance 1, and the prior covariance over
tasks is ``loading @ loading.T``. So exchanging relations never changes the size of the prior: that belongs
to shrinkage.
"""
