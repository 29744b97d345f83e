"""Settings by section: what can be set, each where who sets it looks for it.

Belongs here: a setting's field, variable, default and meaning, and what follows from the fields alone. Reading the
environment, and putting the sections together, is `runtime.settings`'.
"""
