-- The two resources of the service as functions, in a database with a keyring.  They work with the rights of the role that
-- a request has.
CREATE SCHEMA api;

CREATE FUNCTION api.pseudonymization(identifiers text[]) RETURNS json LANGUAGE sql
    BEGIN ATOMIC
        SELECT json_build_object('pseudonyms', pseudo.pseudonymize_array(identifiers));
    END;

CREATE FUNCTION api.deterministic_pseudonymization(identifiers text[]) RETURNS json LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT json_build_object('pseudonyms', pseudo.pseudonymize_array(identifiers, true));
    END;

-- As the service, it gives null for what does not open.
CREATE FUNCTION api.reidentification(pseudonyms text[]) RETURNS json LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT json_build_object('identifiers', pseudo.try_reidentify_array(pseudonyms));
    END;

-- Before each request: the header X-Purpose is why pseudonyms are opened.
CREATE SCHEMA api_internal;
CREATE FUNCTION api_internal.before_request() RETURNS void LANGUAGE sql
    BEGIN ATOMIC
        SELECT set_config('pseudo.purpose', left(coalesce(current_setting('request.headers', true)::json ->> 'x-purpose', ''), 200), true);
    END;

-- A role for each right.  PostgREST logs in as "authenticator", and takes the role that the token of a request names.
CREATE ROLE authenticator LOGIN NOINHERIT;
CREATE ROLE pseudonymizer;
CREATE ROLE reidentifier;
GRANT pseudonymizer, reidentifier TO authenticator;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA api FROM PUBLIC;
GRANT USAGE ON SCHEMA api, api_internal, pseudo TO pseudonymizer, reidentifier;
GRANT USAGE ON FOREIGN SERVER pseudo TO pseudonymizer, reidentifier;
GRANT EXECUTE ON FUNCTION api.pseudonymization, api.deterministic_pseudonymization, pseudo.pseudonymize TO pseudonymizer;
GRANT EXECUTE ON FUNCTION api.reidentification, pseudo.reidentify TO reidentifier;
