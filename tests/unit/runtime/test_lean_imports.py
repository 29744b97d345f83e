"""What is kept from being imported, and that it can be imported afterwards."""

import subprocess
import sys


def told(program: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_what_is_optional_is_not_imported_until_the_block_ends() -> None:
    """In the block it is as if it were not installed; afterwards it is there; what was imported before stays."""
    said = told(
        "import json, sys\nfrom runtime.lean_imports import without\n"
        "with without('wave', 'json'):\n"
        "    import json\n"
        "    try:\n        import wave\n    except ImportError:\n        print('none')\n"
        "import wave\nprint(wave.__name__, json.__name__)"
    )
    assert said.split() == ["none", "wave", "json"]


def test_what_is_lazy_is_loaded_when_it_is_used() -> None:
    """Importing it runs nothing of it; using it does."""
    said = told(
        "import sys\nfrom runtime.lean_imports import without\n"
        "with without(lazy=('xml.sax',)):\n    from xml import sax\n"
        "print('xml.sax.handler' in sys.modules)\nprint(sax.ContentHandler.__name__)\n"
        "print('xml.sax.handler' in sys.modules)"
    )
    assert said.split() == ["False", "ContentHandler", "True"]


def test_the_gate_loads_no_more_of_great_expectations_than_it_uses() -> None:
    """The imports that cost most are not made, and Spark can be imported after the gate."""
    said = told(
        "import sys, pipeline.gate.validation\n"
        "print([m for m in ('pyspark', 'botocore', 'scipy.stats._continuous_distns') if m in sys.modules])\n"
        "import pyspark\nprint(pyspark.__name__)"
    )
    assert said.splitlines() == ["[]", "pyspark"]
