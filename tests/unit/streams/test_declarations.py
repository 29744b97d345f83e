"""Windows and rules as a home declares them."""

from pathlib import Path

import pytest

from runtime.errors import UsageError
from runtime.settings import Settings, load_settings
from streams.declarations import load_declarations


def declared_in(home: Path, text: str) -> Settings:
    (home / "streams").mkdir(exist_ok=True)
    (home / "streams" / "own.yml").write_text(text)
    return load_settings({"LAKEHOUSE_HOME": str(home)})


def test_a_rule_in_ten_lines(tmp_path: Path) -> None:
    """A stranger's rule needs little more than its condition; the built-in minutes are there too."""
    settings = declared_in(
        tmp_path, "rules:\n  hot:\n    condition: value > 30\n    where: unit = 'degc'\n    for_s: 60\n"
    )
    declared = load_declarations(settings)
    assert (declared.rules["hot"].for_s, declared.rules["hot"].by) == (60, ("device_id",))
    assert declared.windows["device_minutes"].size_s == 60


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules:\n  hot: {condition: value > 30, silence_s: 5}", "either a condition or silence_s"),
        ("rules:\n  hot: {}", "either a condition or silence_s"),
        ("rules:\n  hot: {condition: 'getenv(''A'') > 1'}", "condition of the rule hot in .*own.yml uses getenv"),
        ("rules:\n  hot: {condition: value > 3, fro_s: 5}", "says fro_s, known are"),
        ("rules:\n  hot: {condition: value > 3, for_s: -5}", "for_s of the rule hot .* whole seconds"),
        ("rules:\n  hot: {condition: value > 3, over: nothing}", "there are readings, device_minutes"),
        ("rules:\n  hot: {condition: value_max > 3, over: device_minutes, by: [site_id]}", "by of the rule hot"),
        ("windows:\n  w: {size_s: 60}", "selects nothing"),
        ("windows:\n  w: {size_s: 60, kind: hopping, every_s: 7, select: {a: count(*)}}", "does not divide"),
        ("windows:\n  w: {size_s: 60, kind: turning, select: {a: count(*)}}", "give one of tumbling"),
        ("windows:\n  w: {size_s: 60, select: {a: 'read_text(''x'')'}}", "uses read_text"),
        ("nothing: {}", "write a mapping with"),
        ("rules: [a", "cannot be read as YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    """A mistake is named with the file, the window or rule, and what may stand there."""
    with pytest.raises(UsageError, match=message):
        load_declarations(declared_in(tmp_path, text))
