#!/usr/bin/env bash
#
# Make the first key of an empty secret.  More keys are for pseudo_create_key(), which keeps those that
# are there.
#
# The key is in pipes and in the memory of this shell, openssl and aws alone: on no command line and in no file.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=common.sh
. "$here/common.sh"

usage() {
	cat <<END
Usage: $program {-s STACK | -k SECRET} [-r REGION] [-p PROFILE] [-o raw|tink]

Make the first key of an empty secret: 32 random bytes, and 32 for its nonces.

  -s STACK    of deploy.sh: its secret is filled
  -k SECRET   name or ARN of the secret
  -r REGION   default: AWS_REGION, AWS_DEFAULT_REGION, the profile's
  -p PROFILE  of the aws command line interface
  -o PREFIX   output prefix: tink (default); raw, for the pseudonymization REST service to read it too
  -h          this text

For more keys, in the database: SELECT pseudo_create_key('KEYRING').
END
}

prefix=tink
while getopts ':s:k:r:p:o:h' option; do
	case $option in
	s) stack=$OPTARG; check_stack "$stack" ;;
	k)
		secret=$OPTARG
		if [[ $secret == arn:* ]]; then check_secret_arn "$secret"; else check_secret "$secret"; fi
		;;
	r) region=$OPTARG; check_region "$region" ;;
	p) profile=$OPTARG; check_profile "$profile" ;;
	o) prefix=$OPTARG; check "output prefix" "$prefix" 'raw|tink' 'raw or tink' ;;
	h) usage; exit 0 ;;
	*) bad_option "$option" "$OPTARG" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || misused "unexpected argument \"$1\""
[ -n "$stack$secret" ] || misused "option -s or -k is required"
command -v openssl > /dev/null || die 'openssl is missing ("apt-get install openssl")'
prepare
[ "$(aws configure get cli_history ${profile:+--profile "$profile"} || true)" != enabled ] ||
	die "the aws command line interface would write the key to its history; switch cli_history off"
[ -n "$secret" ] || secret=$(stack_output SecretName)

occupied="secret $secret has a value already; for one more key: SELECT pseudo_create_key('KEYRING')"

# Print the staging labels of the secret's versions, or of one: a JMESPath under VersionIdsToStages.
labels() {
	ask_aws secretsmanager describe-secret --secret-id "$secret" --query "VersionIdsToStages$1" ||
		die "could not look at secret $secret"
}

# Print the document with a new key.
make_document() {
	local siv nonce key
	siv=$(openssl rand -base64 32)
	nonce=$(openssl rand -base64 32)
	[ "${#siv} ${#nonce}" = '44 44' ] || die "openssl made no key"
	key="\"encodedSecretKey\": \"$siv\", \"encodedNonceKey\": \"$nonce\", \"nonceStrPos\": 0, \"nonceEndPos\": 12"
	if [ "$prefix" = raw ]; then
		printf '{%s}' "$key"
	else
		printf '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "tink", "status": "enabled", %s}]}' "$key"
	fi
}

found=$(labels '')
[ "$found" = None ] || die "$occupied"

# The first version of all gets the label AWSCURRENT by itself; one that is not the first, because somebody was faster, has
# only the label it brings, and replaces nothing.
id=$(openssl rand -hex 16)
make_document | run_aws secretsmanager put-secret-value --secret-id "$secret" --client-request-token "$id" \
	--version-stages "pseudo-$id" --secret-string file:///dev/stdin > /dev/null ||
	die "the key was not stored in secret $secret"
got=$(labels ".\"$id\"")
run_aws secretsmanager update-secret-version-stage --secret-id "$secret" --version-stage "pseudo-$id" \
	--remove-from-version-id "$id" > /dev/null || printf 'The label pseudo-%s is left; it does no harm.\n' "$id" >&2
[[ $got == *AWSCURRENT* ]] || die "$occupied"

printf 'Secret %s has its first key: %s, version %s.\n' "$secret" "$prefix" "$id"
