{# Fails with the rows where one of the columns lies outside minimum and maximum, both inclusive and optional. #}
{% test accepted_range(model, columns, minimum=none, maximum=none) %}

select *
from {{ model }}
where false
    {%- for column in columns %}
    {%- if minimum is not none %} or {{ column }} < {{ minimum }} {%- endif %}
    {%- if maximum is not none %} or {{ column }} > {{ maximum }} {%- endif %}
    {%- endfor %}

{% endtest %}
