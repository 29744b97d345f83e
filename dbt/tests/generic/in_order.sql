{# Fails with the rows where, in one of the chains of columns, a column is greater than the one named after it. #}
{% test in_order(model, chains) %}

select *
from {{ model }}
where false
    {%- for chain in chains %} {%- for column in chain[:-1] %} or {{ column }} > {{ chain[loop.index] }} {%- endfor %} {%- endfor %}

{% endtest %}
