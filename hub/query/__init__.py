"""Query: the language in which services ask for twins, as text, as a tree and as SQL.

Belongs here: what holds of the language for every collection. What a path means in one belongs in `hub.twins`.
"""
