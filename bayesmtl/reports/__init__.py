"""Reports: questions to ask of a posterior.

A report is ``report(post, *, option=default, ...)`` and returns a DataFrame. It never samples, and lists
tasks in the model's order.
"""
