"""What a store says that gives or takes no files, as a sentence with what to mend."""

from pathlib import Path

import pytest

from lake.storage.locations import explain_store
from runtime.settings import Settings


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("The request signature we calculated does not match the signature you provided.", "refuses the keys"),
        ("The AWS Access Key Id you provided does not exist in our records.", "refuses the keys"),
        ("Forbidden", "refuses the keys"),
        ("Unable to locate credentials", "There are no keys for http://store:1"),
        ("The specified bucket does not exist", "There is no bucket bucket at http://store:1"),
        ('Could not connect to the endpoint URL: "http://store:1/bucket"', "http://store:1 does not answer"),
        ('Connect timeout on endpoint URL: "http://store:1/bucket"', "http://store:1 does not answer"),
        ('Read timeout on endpoint URL: "http://store:1/bucket"', "http://store:1 does not answer"),
        ("Slow down", "cannot be read or written: Slow down"),
    ],
)
def test_what_s3fs_says_is_understood(tmp_path: Path, error: str, words: str) -> None:
    """Its words are others than delta-rs', and mean the same."""
    settings = Settings(home=tmp_path, lake_uri="s3://bucket/lake", aws_endpoint_url="http://store:1")
    assert words in explain_store(settings, "s3://bucket/lake", error)
