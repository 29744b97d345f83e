"""Dashboard: published gold and the hot path as pages for a person.

Belongs here: pages, what they are filled with, signing in. Every page says which publication it shows and marks what is
provisional; a page shows no more than its key may read. It loads nothing from anywhere else.
"""
