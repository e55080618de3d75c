{{ config(
    materialized='table',
    grants={'select': ['analyst']},
    post_hook="{{ protect({'id': 'keep', 'name': 'random, existing=keep', 'email': 'deterministic, existing=keep'}) }}"
) }}

SELECT id, pseudo.pseudonymize(name) AS name, pseudo.pseudonymize(email, true) AS email
FROM {{ source('crm', 'people') }}
