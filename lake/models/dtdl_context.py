"""Contexts of DTDL documents: which version and which terms hold where.

Belongs here: `@context` as written, and what a term or an identifier stands for under it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lake.models.dtdl_classes import VERSIONS
from lake.models.dtdl_extensions import PARTLY_KNOWN
from lake.models.dtdl_rules import DTDL_CONTEXT, IOT_CENTRAL, canonical, contexts
from runtime.errors import ModelError

_SPECIFIER = re.compile(r"dtmi:[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?(?::[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?)*"
                        r";[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,5})?(?:#[A-Za-z0-9_]*)?")  # fmt: skip
_LIMITS = re.compile(r"dtmi:dtdl:limits:|dtmi:dtdl:context;[0-9.]+#limits$")
"""Limits of the language, or of one who uses it, in place of none."""


@dataclass(frozen=True)
class Context:
    """What holds for an element: the version of the language, the terms, and whether there are contexts that are not
    known, whose terms may be anything; `is_limitless` where texts may be of any length."""

    version: int
    terms: Mapping[str, str] = field(repr=False)
    is_open: bool = False
    is_limitless: bool = False

    def meaning(self, term: str) -> str | None:
        """The identifier that a term or an identifier stands for; None for an unknown term."""
        return canonical(term) if term.startswith("dtmi:") else self.terms.get(term)


def context_of(raw: object, outer: Context | None, where: str) -> Context:
    """The context that `@context` makes of the one around it. Raises ModelError."""
    if raw is None and outer is None:
        raise ModelError(f"{where} is None: give 'dtmi:dtdl:context;2' or a later one.")
    items = raw if isinstance(raw, list) else [raw]
    if not items and outer is None:
        raise ModelError(f"{where} is empty: give 'dtmi:dtdl:context;2' or a later one.")
    found = outer
    before = ""
    for item in items:
        if not isinstance(item, str) or not _SPECIFIER.fullmatch(item):
            raise ModelError(f"{where} has {item!r}: give identifiers such as 'dtmi:dtdl:context;3'.")
        if _LIMITS.match(item) and not before.endswith("#limitless"):
            raise ModelError(f"{where} has {item!r}: limits come right behind 'dtmi:dtdl:context;4#limitless'.")
        found, before = _with(found, item, where), item
    if found is None or (outer is None and not any(DTDL_CONTEXT.fullmatch(item) for item in items)):
        raise ModelError(f"{where} is {raw!r}: give 'dtmi:dtdl:context;2' or a later one first.")
    return found


def _with(context: Context | None, item: str, where: str) -> Context | None:
    dtdl = DTDL_CONTEXT.fullmatch(item)
    name = item.partition("#")[0]
    if dtdl is not None:
        version = int(dtdl.group(1))
        if version not in VERSIONS or name not in contexts():
            raise ModelError(f"{where} has {item!r}: versions {', '.join(map(str, VERSIONS))} are known.")
        if dtdl.group(2) and version < 4:
            raise ModelError(f"{where} has {item!r}: limits are of version 4.")
        # what stands before it is an extension of the same version
        earlier = context.terms if context and context.version == version else {}
        is_limitless = dtdl.group(2) == "#limitless"
        return Context(version, {**earlier, **contexts()[name]}, context.is_open if context else False, is_limitless)
    if name == IOT_CENTRAL and context is None:
        context = Context(2, contexts()["dtmi:dtdl:context;2"])
    if context is None:
        raise ModelError(f"{where} begins with {item!r}: 'dtmi:dtdl:context;2' or a later one comes first.")
    if _LIMITS.match(item):
        return context
    if name not in contexts():
        if name.startswith("dtmi:dtdl:") and not name.startswith("dtmi:dtdl:extension:"):
            raise ModelError(f"{where} has {item!r}, which is not known.")
        return replace(context, is_open=True)
    is_open = context.is_open or name == IOT_CENTRAL or name.split(":")[-1].split(";")[0] in PARTLY_KNOWN
    return replace(context, terms={**context.terms, **contexts()[name]}, is_open=is_open)
