"""Tables: one declaration each, from which schema, quality suite, dbt yml and docs follow.

Belongs here: names, columns, keys, partitions, grain, a module a layer. How a device model becomes a silver table is in
`lake.models`; what the values must satisfy beyond type and null is in `pipeline.gate.suites`.
"""
