"""Request bodies: reading one that may not be longer than it has any reason to be.

Belongs here: the limit. What a body says belongs to the face that takes it.
"""

from starlette.requests import Request

from serving.problems import Problem


async def read_body(request: Request, most: int, title: str = "Too large") -> bytes:
    """The whole body. Raises Problem once it is longer than `most` bytes, whatever length it says that it has."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise Problem(413, title, f"A request has at most {most:,} bytes here.")
    return bytes(body)
