{# Fails with the rows where a column is greater than the one named after it. #}
{% test in_order(model, columns) %}

select *
from {{ model }}
where {% for column in columns[:-1] %}{{ column }} > {{ columns[loop.index] }}{{ " or " if not loop.last }}{% endfor %}

{% endtest %}
