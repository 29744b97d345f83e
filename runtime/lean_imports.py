"""Lean imports: importing a library without those of its own imports that nobody here uses.

Belongs here: keeping modules from being imported, for as long as a library is. Which ones a library can do without is
for who imports it to know.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*optional: str, lazy: tuple[str, ...] = ()) -> Iterator[None]:
    """In the block, modules that were not imported yet and are `optional` cannot be imported, as if they were not
    installed, and those that are `lazy` are loaded when something of them is first used.

    Only for libraries that can do without the optional ones, and where no other thread imports meanwhile.
    """
    hidden = [name for name in optional if name not in sys.modules]
    for name in lazy:
        if name not in sys.modules:
            _make_lazy(name)
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # by which Python says that there is none
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _make_lazy(name: str) -> None:
    """As the library reference has it for `importlib.util.LazyLoader`."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return  # whoever imports it says so
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
