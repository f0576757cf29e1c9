"""Engines: how the posterior is drawn.

An engine is ``engine(design, program, data, seed, watch, *, option=default, ...)`` and returns a ``Run``:
draws of the program's latent sites given ``data``, to which it may add. It calls ``watch`` with its progress.
"""
