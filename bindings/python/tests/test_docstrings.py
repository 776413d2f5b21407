"""The examples in the docstrings, and in README.md, do what they show. Each is run in a directory of
its own, with `store` and `site` as prepared.py makes them."""

import doctest
import importlib
import pathlib
import pkgutil

import pytest

from prepared import BINDING, may_have_namespaces, needs_library, pleach, prepare, scratch

pytestmark = needs_library

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
MODULES = ["pleach", *(f"pleach.{module.name}" for module in pkgutil.iter_modules(pleach.__path__))]


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        for test in finder.find(importlib.import_module(name), name):
            if test.examples:
                yield test
    readme = (BINDING / "README.md").read_text(encoding="utf-8")
    yield doctest.DocTestParser().get_doctest(readme, {}, "README", "README.md", 0)


def run(test, report):
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    runner.run(test, out=report.append, clear_globs=False)
    return runner.summarize(verbose=False)


@pytest.mark.parametrize("test", examples(), ids=lambda test: test.name)
def test_example(test):
    if ".run(" in test.docstring and not may_have_namespaces():
        pytest.skip("namespaces cannot be made")
    with scratch() as root, prepare(root) as store:
        test.globs = {"pleach": pleach, "store": store, "site": store["site"], "pathlib": pathlib}
        report = []
        result = run(test, report)
        assert result.attempted > 0
        assert result.failed == 0, "".join(report)


def test_example_that_shows_something_else_fails():
    """What is above can fail."""
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert run(test, []).failed == 1


def test_public_classes_and_functions_have_docstrings():
    for name in pleach.__all__:
        thing = getattr(pleach, name)
        if isinstance(thing, type):
            assert thing.__doc__ and not thing.__doc__.startswith(name + "("), name
