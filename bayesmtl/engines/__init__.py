"""Engines: how the posterior is drawn.

An engine is ``engine(problem, *, option=default, ...)`` and returns a ``Run``: draws of the latent sites of
the problem's program given its data, to which it may add. It calls the problem's ``watch`` with its progress.
"""
