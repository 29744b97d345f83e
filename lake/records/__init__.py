"""Records: what the lake keeps about itself.

Belongs here: storing and finding publications, verdicts, erasures, hashes of files. Deciding anything belongs to
`pipeline`.
"""
