"""What is delivered: documentation that is true, a quick import."""

import doctest
import importlib
import pkgutil
import resource
import subprocess
import sys
import unittest

import ponycloud

#: The promise, in seconds of the processor (others may be busy), with Python's own start taken away.
IMPORT_MAX_S = 0.05
#: The quickest of so many tries counts: what else a machine does is nobody's promise.
TRIES = 15


def modules() -> list[str]:
    return ["ponycloud", *(f"ponycloud.{it.name}" for it in pkgutil.iter_modules(ponycloud.__path__))]


class Package(unittest.TestCase):
    def test_documentation(self) -> None:
        for name in modules():
            with self.subTest(name):
                result = doctest.testmod(importlib.import_module(name))
                self.assertEqual(result.failed, 0)

    def test_the_readme(self) -> None:
        readme = "../README.md"
        self.assertEqual(doctest.testfile(readme).failed, 0)

    def test_everything_named_is_there(self) -> None:
        for name in ponycloud.__all__:
            self.assertIsNotNone(getattr(ponycloud, name))
            self.assertIn(name, dir(ponycloud))
        with self.assertRaises(AttributeError):
            getattr(ponycloud, "nothing")

    def test_the_import_is_quick(self) -> None:
        def quickest(program: str) -> float:
            best = float("inf")
            for _ in range(TRIES):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                subprocess.run([sys.executable, "-I", "-S", "-c", program, *sys.path], check=True, timeout=60)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            return best

        start = "import sys; sys.path[:] = sys.argv[1:]\n"
        took = quickest(start + "import ponycloud") - quickest(start)
        self.assertLess(took, IMPORT_MAX_S)
