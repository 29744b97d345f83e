"""Streams: the hot path, from the landing zone to windows, latest values and alerts within seconds.

Belongs here: the loop, windows, rules, what is done about alerts. What a record means belongs in `transforms`: a figure
for a minute is the warm table's, or it is said why not. What is read here is provisional: no gate has passed it.
"""
