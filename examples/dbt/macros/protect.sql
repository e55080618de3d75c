{#
  A post-hook that says what each column is, and makes the trigger.  dbt makes tables anew, without what the old one had.
  "existing=keep" lets the owner, who is dbt's role, write pseudonyms.
#}
{% macro protect(labels) %}
  {%- set table = this.include(database=false) -%}
  SELECT FROM pseudo.pseudo_keyrings;
  {%- for column, label in labels.items() %}
  SECURITY LABEL FOR pseudo ON COLUMN {{ table }}.{{ adapter.quote(column) }} IS '{{ label }}';
  {%- endfor %}
  SELECT FROM pseudo.pseudo_protect('{{ table }}');
{% endmacro %}
