"""The format of a namespace, and the upgrade of a namespace in the format before."""

FORMAT = 2
"""The format of this release: its keys begin with `{namespace}:2:`. Those of format 1 have no number."""
