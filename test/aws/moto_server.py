"""
moto_server.py
		moto's server on a loopback port, in one process, with IAM's checks and our patches.

	/usr/bin/python3 moto_server.py [--port N] [--admin]

Prints "port N" once it listens, and ends when its parent has ended.  Signatures and policies are checked from
the moment that 0 is posted to /moto-api/reset-auth; with --admin from the start, and a line "admin KEY SECRET" with the
credentials of a user who may do anything comes first.  Every request is a line on stderr: status, action, access key.

moto 5.2.5 does not do all that we lean on.  What follows adds it, one patch at a time.
"""

import argparse
import io
import json
import os
import re
import sys
import threading
import time

from moto import settings
from moto.cloudformation.models import ChangeSet
from moto.cloudformation.responses import CloudFormationResponse
from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.common_models import CloudFormationModel
from moto.core.exceptions import JsonRESTError
from moto.iam.access_control import IAMPolicyStatement, IAMRequest, PermissionResult
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse
from moto.logs.models import logs_backends
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.secretsmanager.exceptions import (
    InvalidParameterException,
    InvalidRequestException,
    SecretHasNoValueException,
    SecretNotFoundException,
)
from moto.secretsmanager.models import (
    FakeSecret,
    SecretsManagerBackend,
    secretsmanager_backends,
)
from moto.secretsmanager.responses import SecretsManagerResponse
from werkzeug.serving import make_server


# ---- Policies --------------------------------------------------------------------------------

# What the conditions of policies are compared with in this request; requests come one at a time.
condition_values = {}


def matches(pattern, text):
    """A text against a pattern of IAM's, with * and ?."""
    parts = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(parts, text, re.DOTALL)


def condition_holds(condition):
    """A Condition element; operators other than these two never hold."""
    compare = {"StringEquals": str.__eq__, "StringLike": lambda a, b: bool(matches(b, a))}
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            value = condition_values.get(key)
            wanted = wanted if isinstance(wanted, list) else [wanted]
            if operator not in compare or value is None:
                return False
            if not any(compare[operator](value, each) for each in wanted):
                return False
    return True


moto_is_action_permitted = IAMPolicyStatement.is_action_permitted


def is_action_permitted(self, action, resource="*", principal=None, incoming_condition_values=None):
    """moto takes an Allow whose condition does not hold for a Deny, and knows no values but sts:ExternalId."""
    condition = self._statement.get("Condition")
    if principal is None and condition:
        if not condition_holds(condition):
            return PermissionResult.NEUTRAL
        statement = {k: v for k, v in self._statement.items() if k != "Condition"}
        return moto_is_action_permitted(IAMPolicyStatement(statement), action, resource)
    return moto_is_action_permitted(self, action, resource, principal, incoming_condition_values)


IAMPolicyStatement.is_action_permitted = is_action_permitted
IAMPolicyStatement._match = staticmethod(matches)


def secret_arn(self):
    """moto checks policies against the resource "*" instead of the secret."""
    name = self._get_param("SecretId") or self._get_param("Name")
    if not name:
        return "*"
    secret = self.backend.secrets.get(name)
    if secret:
        return secret.arn
    if name.startswith("arn:"):
        return name
    return f"arn:{self.partition}:secretsmanager:{self.region}:{self.current_account}:secret:{name}"


def key_arn(self):
    """moto checks policies against the resource "*" instead of the KMS key."""
    name = self._get_param("KeyId")
    return arn_of_key(self.current_account, self.region, name) if name else "*"


def arn_of_key(account, region, name):
    """The ARN of a KMS key that an id, an ARN or an alias names; the name itself where there is none."""
    backend = kms_backends[account][region]
    key = backend.keys.get(backend.any_id_to_key_id(name))
    return key.arn if key else name


SecretsManagerResponse._determine_resource = secret_arn
KmsResponse._determine_resource = key_arn

moto_check_action_permitted = IAMRequest.check_action_permitted


def check_action_permitted(self, resource):
    """Keep the resource, for the message below."""
    self._resource = resource
    moto_check_action_permitted(self, resource)


IAMRequest.check_action_permitted = check_action_permitted


# ---- Errors ----------------------------------------------------------------------------------


def error_of(method, code, message):
    """The errors of services that speak JSON, where moto answers as IAM does."""

    def raise_error(self, *args):
        if "X-Amz-Target" not in self._headers:
            method(self, *args)
        raise JsonRESTError(code, message(self))

    return raise_error


IAMRequest._raise_access_denied = error_of(
    IAMRequest._raise_access_denied,
    "AccessDeniedException",
    lambda self: f"User: {self._access_key.arn} is not authorized to perform: {self._action} on resource: "
    f"{self._resource} because no identity-based policy allows the {self._action} action",
)
IAMRequest._raise_signature_does_not_match = error_of(
    IAMRequest._raise_signature_does_not_match,
    "InvalidSignatureException",
    lambda self: "The request signature we calculated does not match the signature you provided. Check your AWS "
    "Secret Access Key and signing method. Consult the service documentation for details.",
)
IAMRequest._raise_invalid_access_key = error_of(
    IAMRequest._raise_invalid_access_key,
    "UnrecognizedClientException",
    lambda self: "The security token included in the request is invalid.",
)

moto_authenticate = ActionAuthenticatorMixin._authenticate_and_authorize_action


def authenticate(self, iam_request_cls, resource="*"):
    """moto fails with a KeyError where a request is not signed, which one action need not be."""
    condition_values.clear()
    if checks_are_on() and "Authorization" not in self.headers:
        if self._get_action() == "AssumeRoleWithWebIdentity":
            return
        raise JsonRESTError("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    moto_authenticate(self, iam_request_cls, resource)


def checks_are_on():
    return ActionAuthenticatorMixin.request_count >= settings.INITIAL_NO_AUTH_ACTION_COUNT


ActionAuthenticatorMixin._authenticate_and_authorize_action = authenticate


# ---- Secrets Manager -------------------------------------------------------------------------


def check_kms(self, secret, *actions):
    """moto's Secrets Manager does not ask KMS: the caller needs the right to use the secret's key."""
    if not checks_are_on() or not secret.kms_key_id:
        return
    condition_values["kms:ViaService"] = f"secretsmanager.{self.region}.amazonaws.com"
    condition_values["kms:EncryptionContext:SecretARN"] = secret.arn
    for action in actions:
        request = IAMRequest(
            self.current_account, self.method, self.raw_path, self.data, self.raw_body, self.headers, action
        )
        request._action = f"kms:{action}"
        try:
            request.check_action_permitted(arn_of_key(self.current_account, self.region, secret.kms_key_id))
        except JsonRESTError:
            raise JsonRESTError("AccessDeniedException", "Access to KMS is not allowed") from None


def refuse_deleted(secret):
    """moto has other words, and stores in a deleted secret."""
    if secret and secret.is_deleted():
        raise InvalidRequestException(
            "You can't perform this operation on the secret because it was marked for deletion."
        )


moto_get_secret_value = SecretsManagerResponse.get_secret_value
moto_put_secret_value = SecretsManagerResponse.put_secret_value


def get_secret_value(self):
    """A label that no version has gives moto's message for a secret that is not there."""
    secret = self.backend.secrets.get(self._get_param("SecretId"))
    refuse_deleted(secret)
    stage = self._get_param("VersionStage")
    try:
        value = moto_get_secret_value(self)
    except SecretNotFoundException:
        if secret and stage:
            raise SecretHasNoValueException(stage) from None
        raise
    check_kms(self, secret, "Decrypt")
    return value


def put_secret_value(self):
    """As above: the secret's state, and the right to use its key."""
    secret = self.backend.secrets.get(self._get_param("SecretId"))
    refuse_deleted(secret)
    if secret:
        check_kms(self, secret, "GenerateDataKey", "Decrypt")
    return moto_put_secret_value(self)


SecretsManagerResponse.get_secret_value = get_secret_value
SecretsManagerResponse.put_secret_value = put_secret_value


def holder(secret, label):
    """The id of the version that has a staging label, or None."""
    return next((id for id, v in secret.versions.items() if label in v["version_stages"]), None)


def move_label(secret, label, target):
    """Move a label to a version, or to none; AWSPREVIOUS follows AWSCURRENT."""
    source = holder(secret, label)
    if source == target:
        return
    if source:
        secret.versions[source]["version_stages"].remove(label)
    if target:
        secret.versions[target]["version_stages"].append(label)
    if source and label == "AWSCURRENT":
        move_label(secret, "AWSPREVIOUS", source)


def reset_default_version(self, secret_version, version_id):
    """moto takes all labels from the version that was current."""
    labels = secret_version["version_stages"]
    self.versions[version_id] = {**secret_version, "version_stages": []}
    for label in labels:
        move_label(self, label, version_id)


def form_version_ids_to_stages(self):
    """DescribeSecret shows no versions without labels."""
    return {id: list(v["version_stages"]) for id, v in self.versions.items() if v["version_stages"]}


# moto's note of the current version is not brought up to date when its label moves.
FakeSecret.default_version_id = property(lambda self: holder(self, "AWSCURRENT"))
FakeSecret.set_default_version_id = lambda self, version_id: None
FakeSecret.reset_default_version = reset_default_version
FakeSecret._form_version_ids_to_stages = form_version_ids_to_stages


def update_secret_version_stage(self, secret_id, version_stage, remove_from_version_id, move_to_version_id):
    """moto moves labels (but AWSCURRENT) without being told where from, and adds them a second time."""
    if secret_id not in self.secrets:
        raise SecretNotFoundException()
    secret = self.secrets[secret_id]
    for id in filter(None, (remove_from_version_id, move_to_version_id)):
        if id not in secret.versions:
            raise InvalidParameterException(f"Not a valid version: {id}")
    source = holder(secret, version_stage)
    if source and not remove_from_version_id and source != move_to_version_id:
        raise InvalidParameterException(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {version_stage} is currently attached "
            f"to version {source}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    if remove_from_version_id and source != remove_from_version_id:
        raise InvalidParameterException(
            f"Staging label {version_stage} is not attached to version {remove_from_version_id}"
        )
    if version_stage == "AWSCURRENT" and not move_to_version_id:
        raise InvalidParameterException("You can only move staging label AWSCURRENT to a different secret version.")
    move_label(secret, version_stage, move_to_version_id)
    return secret.arn, secret.name


SecretsManagerBackend.update_secret_version_stage = update_secret_version_stage


# ---- CloudFormation --------------------------------------------------------------------------


moto_apply = ChangeSet.apply


def apply(self):
    """A stack made by a change set has no outputs in moto."""
    moto_apply(self)
    self.stack.template_dict = self.template_dict
    self.stack.parameters = dict(self.stack.resource_map.resolved_parameters)
    self.stack.output_map = self.stack._create_output_map()


ChangeSet.apply = apply

# moto refuses a change set without changes, where AWS makes one that has failed.
CloudFormationResponse._validate_different_update = lambda self, *args: None


class Resource:
    """What CloudFormation asks of a resource of ours."""

    def __init__(self, physical_resource_id):
        self.physical_resource_id = physical_resource_id
        self.type = self.cloudformation_type()

    def delete(self, account_id, region_name):
        """Nothing to do: ours are retained, or die with the server."""


class Secret(Resource, CloudFormationModel):
    """AWS::SecretsManager::Secret, which moto lacks; Ref is the ARN."""

    __module__ = "moto.secretsmanager.models"  # moto's metaclass takes the service from it

    @staticmethod
    def cloudformation_name_type():
        return "Name"

    @staticmethod
    def cloudformation_type():
        return "AWS::SecretsManager::Secret"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        created = secretsmanager_backends[account_id][region_name].create_secret(
            name=resource_name,
            secret_string=properties.get("SecretString"),
            secret_binary=None,
            description=properties.get("Description"),
            tags=properties.get("Tags"),
            kms_key_id=properties.get("KmsKeyId"),
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        return cls(json.loads(created)["ARN"])

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, *args, **kwargs):
        return original_resource


class MetricFilter(Resource, CloudFormationModel):
    """AWS::Logs::MetricFilter, which moto lacks."""

    __module__ = "moto.logs.models"

    @staticmethod
    def cloudformation_name_type():
        return "FilterName"

    @staticmethod
    def cloudformation_type():
        return "AWS::Logs::MetricFilter"

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        properties = cloudformation_json["Properties"]
        transformations = [
            {key[0].lower() + key[1:]: value for key, value in each.items()}
            for each in properties["MetricTransformations"]
        ]
        logs_backends[account_id][region_name].put_metric_filter(
            resource_name, properties["FilterPattern"], properties["LogGroupName"], transformations
        )
        return cls(resource_name)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, *args, **kwargs):
        return original_resource


# ---- The server ------------------------------------------------------------------------------


class OneByOne:
    """moto's application, one request at a time, for its backends are not made for threads."""

    def __init__(self, application):
        self.application = application
        self.lock = threading.Lock()

    def __call__(self, environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        target = environ.get("HTTP_X_AMZ_TARGET")
        key = re.search(r"Credential=(\w+)", environ.get("HTTP_AUTHORIZATION", ""))

        def start(status, headers, exc_info=None):
            # Services that speak JSON answer all faults of the caller with 400; moto does with some.
            if target and status.startswith("4"):
                status = "400 Bad Request"
            print(status[:3], target or environ["PATH_INFO"], key[1] if key else "-", file=sys.stderr, flush=True)
            return start_response(status, headers, exc_info)

        with self.lock:
            return list(self.application(environ, start))


class Handler(MotoRequestHandler):
    def log_request(self, *args):
        pass


def create_admin():
    """A user who may do anything; returns his access key's id and secret."""
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_user("us-east-1", "admin", "/")
    backend.put_user_policy(
        "admin",
        "all",
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    )
    key = backend.create_access_key("admin")
    return key.access_key_id, key.secret_access_key


def end_with(parent):
    """End when the parent process has."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--admin", action="store_true")
    arguments = parser.parse_args()

    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    application = OneByOne(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", arguments.port, application, threaded=True, request_handler=Handler)
    if arguments.admin:
        print("admin", *create_admin(), flush=True)
        settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    print("port", server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
