"""The last import of the server in `warm`: what its forks find done, and what they leave alone.

Belongs here: what dbt works out of its own classes, once in a process, and the collector's leave. Else the first
collection in a fork would copy every page that it shares.
"""

import gc
import inspect

from pipeline.gold.dbt_ahead import find_out_ahead

find_out_ahead()
inspect.stack()  # which looks for the file of each module, and remembers them
gc.collect()
gc.freeze()
