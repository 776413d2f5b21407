"""Stands in for the parts of Portage that a sync of a repository goes through: the names, signatures and
order of calls of its published interface, and nothing of its code."""


def load_mod(name):
    """The class that a dotted name leads to."""
    module, _, attribute = name.rpartition(".")
    return getattr(__import__(module, fromlist=[attribute]), attribute)
