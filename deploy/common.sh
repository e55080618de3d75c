# shellcheck shell=bash
# What deploy.sh, destroy.sh and create_key.sh share: messages, checks of arguments, the aws CLI.
# Sourced, not run.
# shellcheck disable=SC2034		# what the others read

program=$(basename "$0")
stack='' region='' profile='' secret='' key=''
export AWS_PAGER=''

# Patterns of a KMS key's id, of what its ARN begins with, and of the ARN.
key_id='[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}'
kms_arn='arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:'
key_arn="${kms_arn}key/($key_id)"

# Say why it failed, and end.
die() {
	printf '%s: %s\n' "$program" "$*" >&2
	exit 1
}

# Say what is wrong with the arguments, and end as usage errors do.
misused() {
	printf '%s: %s\nTry "%s -h".\n' "$program" "$*" "$program" >&2
	exit 2
}

# What getopts found wrong: its option's name and argument.
bad_option() {
	[ "$1" = : ] && misused "option -$2 needs an argument"
	misused "there is no option -$2"
}

# Check an argument: what it is, its value, the pattern it has to match, how it should look.
check() {
	[[ $2 =~ ^($3)$ ]] || misused "\"$2\" is no $1: $4"
}

check_stack() { check "name of a stack" "$1" '[A-Za-z][A-Za-z0-9-]{0,127}' 'letters, digits and hyphens, a letter first'; }
check_region() { check "region" "$1" '[a-z]{2,4}(-[a-z]+)+-[0-9]+' 'give one such as eu-west-1'; }
check_profile() { check "name of a profile" "$1" '[A-Za-z0-9_.@:/+=,][A-Za-z0-9_.@:/+=, -]*' 'see "aws configure list-profiles"'; }
check_secret() { check "name of a secret" "$1" '[A-Za-z0-9/_+=.@][A-Za-z0-9/_+=.@-]{0,511}' 'letters, digits and /_+=.@-'; }
check_secret_arn() { check "ARN of a secret" "$1" 'arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+' 'see the output SecretArn'; }
check_secret_id() { if [[ $1 == arn:* ]]; then check_secret_arn "$1"; else check_secret "$1"; fi; }
check_key_arn() { check "ARN of a KMS key" "$1" "$key_arn" 'see "aws kms describe-key --key-id alias/NAME"'; }
check_key_id() { check "KMS key" "$1" "$key_arn|($kms_arn)?alias/[A-Za-z0-9/_-]+|$key_id" 'give its id, its ARN or alias/NAME'; }

# Find the CLI and the region, once the options are read.
prepare() {
	command -v aws > /dev/null || die 'the aws command line interface is missing ("apt-get install awscli")'
	[ -n "$region" ] || region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
	[ -n "$region" ] || region=$(aws configure get region ${profile:+--profile "$profile"}) ||
		misused "no region: give one with -r, AWS_REGION or the profile"
	check_region "$region"
}

# The CLI in this region, with this profile.  Older ones do not know AWS_ENDPOINT_URL.
run_aws() {
	aws --region "$region" ${profile:+--profile "$profile"} \
		${AWS_ENDPOINT_URL:+--endpoint-url "$AWS_ENDPOINT_URL"} "$@"
}

# The same, for its output as plain text.
ask_aws() { run_aws --output text "$@"; }

# Does the stack exist?
stack_exists() {
	local said
	said=$(ask_aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' 2>&1) && return 0
	[[ $said == *'does not exist'* ]] || die "could not look at stack $stack: ${said//$'\n'/ }"
	return 1
}

# Print an output of the stack.
stack_output() {
	local value
	value=$(ask_aws cloudformation describe-stacks --stack-name "$stack" \
		--query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue") || die "could not read the outputs of stack $stack"
	if [ -z "$value" ] || [ "$value" = None ]; then
		die "stack $stack has no output $1: it is not one of deploy.sh, or not complete"
	fi
	printf '%s\n' "$value"
}
