{{ config(
    materialized='incremental',
    unique_key='id',
    grants={'select': ['analyst']},
    post_hook="{{ protect({'id': 'keep', 'email': 'deterministic, existing=keep', 'at': 'keep'}) }}"
) }}

SELECT id, pseudo.pseudonymize(email, true) AS email, at
FROM {{ source('crm', 'logins') }}
{% if is_incremental() %}
WHERE id > (SELECT coalesce(max(id), 0) FROM {{ this }})
{% endif %}
