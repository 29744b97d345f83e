"""Bronze to silver as pure functions, most of which give SQL: what a record means and whether it is a reading.

No I/O, no clock, no orchestrator here; reading and committing tables belongs in `pipeline`.
"""
