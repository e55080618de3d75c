#!/usr/bin/env bash
#
# Create or update the stack of template.yaml: a secret for the keys, the KMS key that
# encrypts it, unless there is one, and the two policies.  At the end it prints the stack's outputs.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=common.sh
. "$here/common.sh"

usage() {
	cat <<END
Usage: $program -s STACK [-r REGION] [-p PROFILE] [-n SECRET] [-k KEY_ARN] [-l LOG_GROUP] [-t TOPIC_ARN]

Create or update the stack with the secret for pseudo's keys.

  -s STACK      name of the CloudFormation stack
  -r REGION     default: AWS_REGION, AWS_DEFAULT_REGION, the profile's
  -p PROFILE    of the aws command line interface
  -n SECRET     name of the secret (default: EncryptionKeys-STACK); a stack keeps the one it has
  -k KEY_ARN    KMS key that encrypts the secret (default: a new one); its key policy has to leave access to the
                account's IAM policies; a stack keeps the one it has
  -l LOG_GROUP  that CloudTrail writes to: an alarm tells of denied reads
  -t TOPIC_ARN  SNS topic for the alarm
  -h            this text

The secret is empty at first: create_key.sh or pseudo_create_key() fills it.
END
}

log_group='' topic=''
while getopts ':s:r:p:n:k:l:t:h' option; do
	case $option in
	s) stack=$OPTARG; check_stack "$stack" ;;
	r) region=$OPTARG; check_region "$region" ;;
	p) profile=$OPTARG; check_profile "$profile" ;;
	n) secret=$OPTARG; check_secret "$secret" ;;
	k) key=$OPTARG; check_key_arn "$key" ;;
	l) log_group=$OPTARG; check "log group" "$log_group" '[A-Za-z0-9_./#-]{1,512}' 'give its name' ;;
	t) topic=$OPTARG; check "SNS topic" "$topic" 'arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+' 'give its ARN' ;;
	h) usage; exit 0 ;;
	*) bad_option "$option" "$OPTARG" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || misused "unexpected argument \"$1\""
[ -n "$stack" ] || misused "option -s is required"
[ -z "$topic" ] || [ -n "$log_group" ] || misused "option -t needs -l"
prepare
[ -z "$key" ] || [[ $key == arn:*:kms:"$region":* ]] || misused "the KMS key has to be in $region, as the secret is: $key"

# A stack that exists keeps its secret, for with another name it would begin an empty one, and the KMS key.
parameters=()
if stack_exists; then
	has=$(stack_output SecretName)
	[ -z "$secret" ] || [ "$secret" = "$has" ] || die "stack $stack has the secret $has, and would leave it; use another stack for $secret"
	secret=$has
	has=$(stack_output KmsKeyArn)
	[ -z "$key" ] || [ "$key" = "$has" ] || die "stack $stack has the KMS key $has, and keeps it; use another stack for $key"
else
	secret=${secret:-EncryptionKeys-$stack}
	if said=$(run_aws secretsmanager describe-secret --secret-id "$secret" 2>&1); then
		die "there is a secret $secret already, perhaps of an earlier stack; choose another name with -n"
	elif [[ $said != *ResourceNotFoundException* ]]; then
		die "could not look for secret $secret: ${said//$'\n'/ }"
	fi
	if [ -n "$key" ]; then
		state=$(ask_aws kms describe-key --key-id "$key" --query KeyMetadata.KeyState) || die "could not look at KMS key $key"
		[ "$state" = Enabled ] || die "KMS key $key cannot be used: it is $state"
		parameters+=("KmsKeyArn=$key")
	fi
fi

parameters+=("SecretName=$secret")
[ -z "$log_group" ] || parameters+=("CloudTrailLogGroup=$log_group")
[ -z "$topic" ] || parameters+=("AlarmTopicArn=$topic")
run_aws cloudformation deploy --stack-name "$stack" --template-file "$here/template.yaml" \
	--capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides "${parameters[@]}" ||
	die "stack $stack was not deployed; \"aws cloudformation describe-stack-events --stack-name $stack\" tells why"

printf '\n'
for name in KmsKeyArn SecretName SecretArn ReaderPolicyArn AdminPolicyArn; do
	value=$(stack_output "$name")
	printf '%-16s%s\n' "$name" "$value"
done
