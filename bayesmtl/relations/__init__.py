"""Relations: how tasks share weights.

A relation is ``relation(task, feature, *, option=default, ...)`` and returns a loading matrix,
[task, factor] or [feature, task, factor], whose rows have length one. With ``z [factor, feature]`` standard
normal the weights are ``loading @ z``: each has prior mean 0 and variance 1, and the prior covariance over
tasks is ``loading @ loading.T``. One with a factor of each task's own returns a
:class:`~bayesmtl.sharing.Loading`, which spares many tasks the algebra of a full matrix. One that can't tell
which tasks are alike returns a :class:`~bayesmtl.sharing.Mixture`, of the same mean and variance. So
exchanging relations never changes the size of the prior: that belongs to shrinkage.

A file may have a second function, ``joined(task, new, feature, **options)``: the loading matrix of the known
tasks and of new ones below them, at a posterior's draw of what the relation samples. By it tasks that a fit
never saw are drawn given the others. With a ``told`` after the features it takes what is told of each new
task: a description, a place, neighbours.
"""
