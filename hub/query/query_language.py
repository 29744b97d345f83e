"""The query language of IoT Hub's twins and of Digital Twins: text to a tree.

Belongs here: one grammar for both. What a path means in a collection, and SQL, belong in
`hub.query.query_sql` and the modules that use it.
Sources: "IoT Hub query language" and "Azure Digital Twins query language reference" (learn.microsoft.com).

    query      := SELECT [TOP (n)] (* | column {, column}) FROM source {join | MATCH pattern}
                  [WHERE test] [GROUP BY path {, path}]
    column     := operand [AS name]                source := name{.name} [alias]
    join       := JOIN alias RELATED path [alias]
    pattern    := (alias) {-[[alias][:name{|name}]]-> (alias) | <-[…]- (alias)}
    test       := test OR test | test AND test | NOT test | ( test ) | comparison | function
    comparison := operand (= | != | <> | < | <= | > | >=) operand | operand [NOT] IN [list] | operand NIN [list]
    operand    := number | 'text' | "text" | true | false | null | path | function ( {operand} )
"""

import re
from dataclasses import dataclass

from hub.hub_errors import HubCode, HubError
from hub.query.query_tree import Column, Comparison, Function, Join, Literal, Logic, Node, Path, Query

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
    |(?P<name>[A-Za-z_$][\w$\-]*(?<!-)|[A-Za-z_$])
    |(?P<mark><=|>=|!=|<>|->|<-|[=<>(),.*|:\-\[\]]))""",
    re.VERBOSE,
)
_MOST_TEXT = 64 * 1024
_DEEPEST = 50


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_query(text: str) -> Query:
    """The tree of a query. Raises HubError where it is none."""
    if len(text) > _MOST_TEXT:
        raise HubError(HubCode.ArgumentInvalid, f"The query has {len(text)} characters: {_MOST_TEXT} are the most.")
    return _Parser(text).query()


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _bad(text, at)
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _bad(text: str, at: int) -> HubError:
    return HubError(HubCode.ArgumentInvalid, f"The query cannot be read at {at + 1}: {text[at : at + 20]!r}.")


class _Parser:
    """Reads tokens from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.depth = 0

    def query(self) -> Query:
        self.need("select")
        top = self.top()
        # TOP(5) alone means whole twins too
        is_whole = self.take("*") or (top is not None and self.is_word("from"))
        columns = () if is_whole else self.columns()
        self.need("from")
        source = self.names()
        alias = (
            self.name() if self.peek().kind == "name" and not self.is_word("where", "join", "match", "group") else None
        )
        joins = self.joins()
        where = self.test() if self.take("where") else None
        group_by: list[Path] = []
        if self.take("group"):
            self.need("by")
            group_by.append(self.path())
            while self.take(","):
                group_by.append(self.path())
        if self.peek().kind != "end":
            raise self.bad()
        return Query(source, alias, columns, top, joins, where, tuple(group_by))

    def top(self) -> int | None:
        if not self.take("top"):
            return None
        is_closed = self.take("(")
        number = self.peek()
        if not re.fullmatch("[0-9]{1,9}", number.text):
            raise self.bad()
        self.at += 1
        if is_closed:
            self.need(")")
        return int(number.text)

    def columns(self) -> tuple[Column, ...]:
        found = [self.column(1)]
        while self.take(","):
            found.append(self.column(len(found) + 1))
        return tuple(found)

    def column(self, place: int) -> Column:
        node = self.operand()
        if self.take("as"):
            return Column(node, self.name())
        return Column(node, node.parts[-1] if isinstance(node, Path) else f"{place}")

    def joins(self) -> tuple[Join, ...]:
        found: list[Join] = []
        while self.is_word("join", "match"):
            if self.take("match"):
                found += self.pattern()
                continue
            self.need("join")
            target = self.name()
            self.need("related")
            path = self.path()
            if len(path.parts) != 2:
                raise self.bad()
            named = self.peek().kind == "name" and not self.is_word("join", "where", "match", "group")
            found.append(Join(path.parts[0], target, path.parts[1:], self.name() if named else None))
        return tuple(found)

    def pattern(self) -> list[Join]:
        left, found = self.twin(), []
        while self.peek().text in ("-", "<-"):
            is_back = self.next().text == "<-"
            self.need("[")
            alias = self.name() if self.peek().kind == "name" else None
            names: list[str] = []
            if self.take(":"):
                names.append(self.name())
                while self.take("|"):
                    names.append(self.name())
            self.need("]")
            self.need("-" if is_back else "->")
            right = self.twin()
            ends = (right, left) if is_back else (left, right)
            found.append(Join(*ends, tuple(names), alias))
            left = right
        return found

    def twin(self) -> str:
        self.need("(")
        alias = self.name()
        self.need(")")
        return alias

    def test(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise HubError(HubCode.ArgumentInvalid, f"The query is nested deeper than {_DEEPEST} levels.")
        items = [self.conjunction()]
        while self.take("or"):
            items.append(self.conjunction())
        self.depth -= 1
        return items[0] if len(items) == 1 else Logic("or", tuple(items))

    def conjunction(self) -> Node:
        items = [self.negation()]
        while self.take("and"):
            items.append(self.negation())
        return items[0] if len(items) == 1 else Logic("and", tuple(items))

    def negation(self) -> Node:
        is_not = False
        while self.take("not"):
            is_not = not is_not
        node = self.comparison()
        return Logic("not", (node,)) if is_not else node

    def comparison(self) -> Node:
        if self.take("("):
            inner = self.test()
            self.need(")")
            return inner
        left = self.operand()
        token = self.peek()
        if token.text in ("=", "!=", "<>", "<", "<=", ">", ">="):
            self.at += 1
            return Comparison("!=" if token.text == "<>" else token.text, left, self.operand())
        is_not = self.take("not")
        if self.take("nin"):
            is_not = True
        elif not self.take("in"):
            if is_not:
                raise self.bad()
            return left
        found: Node = Logic("or", tuple(Comparison("=", left, each) for each in self.list()))
        return Logic("not", (found,)) if is_not else found

    def list(self) -> tuple[Node, ...]:
        self.need("[")
        found = [self.operand()]
        while self.take(","):
            found.append(self.operand())
        self.need("]")
        return tuple(found)

    def operand(self) -> Node:
        token = self.peek()
        if token.kind == "number":
            self.at += 1
            # databases have whole numbers of 64 bits
            is_whole = re.fullmatch(r"-?\d{1,18}", token.text)
            return Literal(int(token.text) if is_whole else float(token.text))
        if token.kind == "text":
            self.at += 1
            quote = token.text[0]
            text = token.text[1:-1].replace(quote * 2, quote)
            return Literal(re.sub(r"\\(.)", r"\1", text))
        word = token.text.lower()
        if word in ("true", "false", "null") and token.kind == "name":
            self.at += 1
            return Literal({"true": True, "false": False, "null": None}[word])
        if token.kind == "name" and self.tokens[self.at + 1].text == "(":
            self.at += 2
            return Function(word, self.arguments())
        return self.path()

    def arguments(self) -> tuple[Node, ...]:
        found: list[Node] = []
        self.take("*")
        while not self.take(")"):
            if found:
                self.need(",")
            found.append(self.operand())
        return tuple(found)

    def path(self) -> Path:
        parts = [self.name()]
        while True:
            if self.take(".") and self.peek().text != "[":
                parts.append(self.name())
                continue
            if self.peek().text != "[":
                return Path(tuple(parts))
            depth = 0
            while self.take("["):
                depth += 1
            token = self.next()
            if token.kind not in ("name", "text", "number"):
                raise self.bad()
            parts.append(token.text[1:-1] if token.kind == "text" else token.text)
            for _ in range(depth):
                self.need("]")

    def names(self) -> tuple[str, ...]:
        found = [self.name().lower()]
        while self.take("."):
            found.append(self.name().lower())
        return tuple(found)

    def name(self) -> str:
        token = self.next()
        if token.kind != "name":
            self.at -= 1
            raise self.bad()
        return token.text

    def peek(self) -> _Token:
        return self.tokens[self.at]

    def next(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def is_word(self, *words: str) -> bool:
        return self.peek().kind == "name" and self.peek().text.lower() in words

    def take(self, text: str) -> bool:
        token = self.peek()
        if token.kind in ("name", "mark") and token.text.lower() == text:
            self.at += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.bad()

    def bad(self) -> HubError:
        return _bad(self.text, self.peek().at)
