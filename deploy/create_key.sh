#!/usr/bin/env bash
#
# Make the first key of an empty secret.  More keys are for pseudo_create_key(), which keeps those that
# are there.
#
# The key is in pipes and in the memory of this shell, openssl, head, tail and aws alone: on no command line, in no
# environment and in no file.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=common.sh
. "$here/common.sh"

usage() {
	cat <<END
Usage: $program {-s STACK | -n SECRET} [-r REGION] [-p PROFILE] [-k KEY] [-o raw|tink]

Make the first key of an empty secret: 32 random bytes, and 32 for its nonces.

  -s STACK    of deploy.sh: its secret is filled
  -n SECRET   name or ARN of the secret (default: that of STACK)
  -r REGION   default: AWS_REGION, AWS_DEFAULT_REGION, the profile's
  -p PROFILE  of the aws command line interface
  -k KEY      id, ARN or alias of the KMS key that makes the bytes (GenerateDataKey; default: openssl makes them);
              for another one than that of STACK you need kms:GenerateDataKey on it, which AdminPolicy does not grant
  -o PREFIX   output prefix: tink (default); raw, for the pseudonymization REST service to read it too
  -h          this text

For more keys, in the database: SELECT pseudo_create_key('KEYRING').
END
}

unset document material siv nonce fields		# variables of the caller would be in the environment of all that runs here
prefix=tink
while getopts ':s:n:r:p:k:o:h' option; do
	case $option in
	s) stack=$OPTARG; check_stack "$stack" ;;
	n) secret=$OPTARG; check_secret_id "$secret" ;;
	r) region=$OPTARG; check_region "$region" ;;
	p) profile=$OPTARG; check_profile "$profile" ;;
	k) key=$OPTARG; check_key_id "$key" ;;
	o) prefix=$OPTARG; check "output prefix" "$prefix" 'raw|tink' 'raw or tink' ;;
	h) usage; exit 0 ;;
	*) bad_option "$option" "$OPTARG" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || misused "unexpected argument \"$1\""
[ -n "$stack$secret" ] || misused "option -s or -n is required"
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

# Print 64 random bytes in base64.  A KMS key is asked in the region that its ARN names.
make_material() {
	local region=$region
	if [ -z "$key" ]; then
		openssl rand 64 | openssl base64 -A
	else
		[[ $key != arn:* ]] || IFS=: read -r _ _ _ region _ <<< "$key"
		ask_aws kms generate-data-key --key-id "$key" --number-of-bytes 64 --query Plaintext
	fi
}

# Print the document with a new key.
make_document() {
	local material siv nonce fields
	material=$(make_material) || die "no key was made${key:+ by KMS key $key}"
	siv=$(printf '%s' "$material" | openssl base64 -d -A | { head -c 32; cat > /dev/null; } | openssl base64 -A)
	nonce=$(printf '%s' "$material" | openssl base64 -d -A | tail -c +33 | openssl base64 -A)
	[ "${#siv} ${#nonce}" = '44 44' ] || die "the key made has not the length asked for"
	fields="\"encodedSecretKey\": \"$siv\", \"encodedNonceKey\": \"$nonce\", \"nonceStrPos\": 0, \"nonceEndPos\": 12"
	if [ "$prefix" = raw ]; then
		printf '{%s}' "$fields"
	else
		printf '{"version": 1, "primaryKeyId": 1, "keys": [{"keyId": 1, "outputPrefix": "tink", "status": "enabled", %s}]}' "$fields"
	fi
}

found=$(labels '')
[ "$found" = None ] || die "$occupied"
document=$(make_document)

# The first version of all gets the label AWSCURRENT by itself; one that is not the first, because somebody was faster, has
# only the label it brings, and replaces nothing.
id=$(openssl rand -hex 16)
printf '%s' "$document" | run_aws secretsmanager put-secret-value --secret-id "$secret" --client-request-token "$id" \
	--version-stages "pseudo-$id" --secret-string file:///dev/stdin > /dev/null ||
	die "the key was not stored in secret $secret"
got=$(labels ".\"$id\"")
run_aws secretsmanager update-secret-version-stage --secret-id "$secret" --version-stage "pseudo-$id" \
	--remove-from-version-id "$id" > /dev/null || printf 'The label pseudo-%s is left; it does no harm.\n' "$id" >&2
[[ $got == *AWSCURRENT* ]] || die "$occupied"

printf 'Secret %s has its first key: %s, version %s.\n' "$secret" "$prefix" "$id"
