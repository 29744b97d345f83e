"""Scoring: models that are trained on published gold and say of each final minute how unusual it is.

Belongs here: training, the store of model versions, and scoring in the loop. What a model sees of a minute is declared
in `transforms.minute_features`. The libraries are the extra `[ml]`; nothing here imports them before they are needed.
"""
