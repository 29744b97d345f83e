"""The API: published gold over HTTP, `/v1`.

Belongs here: declared routes, what they answer, formats, pages. Who may ask is in `serving.access`.
"""
