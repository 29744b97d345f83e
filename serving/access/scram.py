"""SCRAM: what PostgreSQL keeps of a password, so that a key opens it without being kept.

Belongs here: RFC 5802's numbers as PostgreSQL writes them. Who may connect is in `serving.bi.reader_roles`.
"""

import base64
import hashlib
import hmac

_ROUNDS = 4096


def scram_verifier(password: str, salt: bytes) -> str:
    """`SCRAM-SHA-256$<rounds>:<salt>$<stored key>:<server key>`, of a password in ASCII."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ROUNDS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt_, stored, server = (base64.b64encode(each).decode() for each in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ROUNDS}:{salt_}${stored}:{server}"
