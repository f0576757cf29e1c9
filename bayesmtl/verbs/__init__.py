"""What each verb of the command line does, given its arguments; it returns the exit code.

Every verb imports what it needs: help, pictures and manuals wait for neither JAX nor pandas.
"""
