#!/usr/bin/env bash
#
# Delete a stack of deploy.sh.  The secret and its KMS key stay, for without them no
# pseudonym ever comes back; -D has the secret deleted too, after 30 days.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
# shellcheck source=common.sh
. "$here/common.sh"

usage() {
	cat <<END
Usage: $program -s STACK [-r REGION] [-p PROFILE] [-n SECRET] [-D] [-y]

Delete the stack.  Its secret and its KMS key stay.

  -s STACK    name of the CloudFormation stack
  -r REGION   default: AWS_REGION, AWS_DEFAULT_REGION, the profile's
  -p PROFILE  of the aws command line interface
  -n SECRET   name or ARN of the secret, where a stack that was never complete does not tell it
  -D          delete the secret too, after 30 days in which it can be restored
  -y          do not ask
  -h          this text
END
}

delete_secret='' sure=''
while getopts ':s:r:p:n:Dyh' option; do
	case $option in
	s) stack=$OPTARG; check_stack "$stack" ;;
	r) region=$OPTARG; check_region "$region" ;;
	p) profile=$OPTARG; check_profile "$profile" ;;
	n) secret=$OPTARG; check_secret_id "$secret" ;;
	D) delete_secret=yes ;;
	y) sure=yes ;;
	h) usage; exit 0 ;;
	*) bad_option "$option" "$OPTARG" ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || misused "unexpected argument \"$1\""
[ -n "$stack" ] || misused "option -s is required"
prepare

stack_exists || die "there is no stack $stack in $region"
key=$(ask_aws cloudformation describe-stack-resources --stack-name "$stack" \
	--query "StackResources[?LogicalResourceId=='KmsKey'].PhysicalResourceId") || die "could not read the resources of stack $stack"
if arn=$(stack_output SecretArn 2> /dev/null); then
	name=$(stack_output SecretName)
	[[ -z $secret || $secret == "$name" || $secret == "$arn" ]] || die "stack $stack has the secret $name, not $secret"
	secret=$arn
fi
[ -n "$secret" ] || [ -z "$delete_secret" ] || die "stack $stack was never complete, and names no secret to delete; name it with -n"

if [ -z "$sure" ]; then
	printf 'This deletes stack %s in %s%s.\nType its name to go on: ' "$stack" "$region" "${delete_secret:+ and, in 30 days, the keys in secret $secret}"
	read -r answer || answer=''
	[ "$answer" = "$stack" ] || die "nothing was deleted"
fi

run_aws cloudformation delete-stack --stack-name "$stack"
run_aws cloudformation wait stack-delete-complete --stack-name "$stack" ||
	die "stack $stack was not deleted; are its policies detached? \"aws cloudformation describe-stack-events --stack-name $stack\" tells why"
printf 'Stack %s is deleted.\n' "$stack"

[ -n "$secret" ] || exit 0
if [ -n "$delete_secret" ]; then
	run_aws secretsmanager delete-secret --secret-id "$secret" --recovery-window-in-days 30 > /dev/null ||
		die "the secret was not deleted: $secret"
	cat <<END

The secret is deleted in 30 days. Until then nobody can read it, and this brings it back:
  aws secretsmanager restore-secret --region $region --secret-id $secret
END
else
	cat <<END

The secret stays. Once it is deleted, no pseudonym made with its keys ever comes back:
  aws secretsmanager delete-secret --region $region --secret-id $secret --recovery-window-in-days 30
END
fi
[ -n "$key" ] || exit 0		# that of -k is not ours
cat <<END
Its KMS key stays, too. When the secret has gone:
  aws kms schedule-key-deletion --region $region --key-id $key --pending-window-in-days 30
END
