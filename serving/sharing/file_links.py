"""File links: where a client fetches a file from, for some minutes.

Belongs here: a link to ourselves for a folder, a signed link of the store's own for S3.
"""

from lake.storage.lake_files import LakeFiles
from runtime.settings import Settings
from serving.sharing.signed_links import LIFETIME_S, LinkSigner


def file_link(
    settings: Settings, signer: LinkSigner, base: str, table: str, path: str, now_s: float
) -> tuple[str, int]:
    """The address of a file of a gold table, and when it ends, in milliseconds since 1970."""
    if not settings.is_s3:
        return signer.link(base, table, path, now_s)
    url = LakeFiles(settings).signed_link(f"{table.replace('.', '/')}/{path}", LIFETIME_S)
    return url, (int(now_s) + LIFETIME_S) * 1000
