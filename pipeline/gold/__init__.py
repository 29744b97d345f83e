"""Gold: silver to published gold.

Belongs here: what is stale, the plan, running dbt, publishing. The SQL of gold is in dbt/, judging in `pipeline.gate`.
"""
