/*
 * credentials.c
 *		Credentials: checked and taken over from what a source says, and kept for a while.
 *
 * What is kept in the backend is only what a source gave for a while; which source serves is decided anew each time.
 * The times are read by functions of ours, for timestamptz_in() also takes "now" and "infinity", follows
 * DateStyle, and shows the text in its errors.
 */
#include "postgres.h"

#include <time.h>

#include "utils/datetime.h"

#include "credentials.h"

#define RENEW_BEFORE	300		/* seconds before they expire */
#define KEPT			4		/* sets of credentials a backend */

/* Temporary credentials, and what they were made for: four strings, a zero after each. */
typedef struct Kept
{
	int64		expires;		/* seconds since 1970; 0: empty */
	char		strings[8192 - sizeof(int64)];
} Kept;

/* KEPT of them in secret memory, or NULL. */
static Kept *kept = NULL;

/* Seconds since 1970, by AWS's clock. */
static int64
aws_time(const PseudoAws *aws)
{
	return (int64) time(NULL) + aws->clock_skew;
}

/* See credentials.h. */
bool
pseudo_aws_kept(PseudoAws *aws, const char *made_for, PseudoAwsCredentials *found)
{
	for (int i = 0; kept && i < KEPT; i++)
	{
		const char *id = kept[i].strings + strlen(kept[i].strings) + 1;
		const char *secret = id + strlen(id) + 1;
		const char *token = secret + strlen(secret) + 1;

		if (kept[i].expires - RENEW_BEFORE <= aws_time(aws) || strcmp(kept[i].strings, made_for) != 0)
			continue;
		found->access_key_id = pseudo_arena_strdup(aws->arena, id);
		found->secret_access_key = pseudo_arena_strdup(aws->arena, secret);
		found->session_token = *token ? pseudo_arena_strdup(aws->arena, token) : NULL;
		found->expires = kept[i].expires;
		return true;
	}
	return false;
}

/* Append a string and its zero. */
static char *
put_string(char *to, const char *string)
{
	return stpcpy(to, string) + 1;
}

/* See credentials.h; takes the place of those made for the same, or of those that expire first. */
void
pseudo_aws_keep(PseudoAws *aws, const char *made_for, const PseudoAwsCredentials *credentials)
{
	const char *token = credentials->session_token ? credentials->session_token : "";
	Kept	   *place;
	char	   *end;

	if (credentials->expires - RENEW_BEFORE <= aws_time(aws) ||
		strlen(made_for) + strlen(credentials->access_key_id) +
		strlen(credentials->secret_access_key) + strlen(token) + 4 > sizeof(place->strings))
		return;
	if (kept == NULL)
		kept = pseudo_secret_alloc(KEPT * sizeof(Kept));
	place = &kept[0];
	for (int i = 0; i < KEPT; i++)
	{
		if (strcmp(kept[i].strings, made_for) == 0)
		{
			place = &kept[i];
			break;
		}
		if (kept[i].expires < place->expires)
			place = &kept[i];
	}
	explicit_bzero(place, sizeof(Kept));
	end = put_string(place->strings, made_for);
	end = put_string(end, credentials->access_key_id);
	end = put_string(end, credentials->secret_access_key);
	put_string(end, token);
	place->expires = credentials->expires;
}

/* See credentials.h. */
void
pseudo_aws_forget(void)
{
	if (kept)
		explicit_bzero(kept, KEPT * sizeof(Kept));
}

/* See credentials.h. */
PseudoAwsFound
pseudo_aws_source_failed(PseudoAws *aws, const char *source, const char *why, const char *hint)
{
	pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT, ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
				psprintf("could not get AWS credentials from %s", source), pseudo_aws_sentence(why), hint);
	return PSEUDO_AWS_FAILED;
}

/* See credentials.h. */
PseudoAwsFound
pseudo_aws_source_named(PseudoAws *aws, const char *source)
{
	const char *detail = aws->failure->detail;

	if (aws->failure->sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE)
		aws->failure->class = PSEUDO_FAIL_TRANSIENT;
	pseudo_failure_detail(aws->failure, psprintf("This was to get AWS credentials from %s.%s%s", source,
												 detail ? "\n" : "", detail ? detail : ""));
	return PSEUDO_AWS_FAILED;
}

/* Read a number of just so many digits, and the character that follows it. */
static bool
read_digits(const char **string, int digits, char follows, int min, int max, int *number)
{
	*number = 0;
	for (int i = 0; i < digits; i++)
	{
		if (**string < '0' || **string > '9')
			return false;
		*number = *number * 10 + *(*string)++ - '0';
	}
	if (follows != '\0' && *(*string)++ != follows)
		return false;
	return *number >= min && *number <= max;
}

/* Read Z or an offset such as +02:00, in seconds, and the end. */
static bool
read_zone(const char *string, int *offset)
{
	bool		west = *string == '-';
	int			hours;
	int			minutes;

	*offset = 0;
	if (strcmp(string, "Z") == 0)
		return true;
	if (*string != '+' && *string != '-')
		return false;
	string++;
	if (!read_digits(&string, 2, ':', 0, 23, &hours) ||
		!read_digits(&string, 2, '\0', 0, 59, &minutes))
		return false;
	*offset = (west ? -1 : 1) * (hours * 60 + minutes) * 60;
	return *string == '\0';
}

/* Read a time as in RFC 3339, in seconds since 1970; a fraction is cut off. */
static bool
read_expiration(const char *string, int64 *seconds)
{
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			offset;

	if (!read_digits(&string, 4, '-', 1970, 9999, &year) ||
		!read_digits(&string, 2, '-', 1, 12, &month) ||
		!read_digits(&string, 2, 'T', 1, day_tab[isleap(year)][month - 1], &day) ||
		!read_digits(&string, 2, ':', 0, 23, &hour) ||
		!read_digits(&string, 2, ':', 0, 59, &minute) ||
		!read_digits(&string, 2, '\0', 0, 60, &second))
		return false;
	if (*string == '.')
	{
		Size		digits = strspn(string + 1, "0123456789");

		if (digits == 0)
			return false;
		string += 1 + digits;
	}
	if (!read_zone(string, &offset))
		return false;
	*seconds = (int64) (date2j(year, month, day) - UNIX_EPOCH_JDATE) * SECS_PER_DAY +
		hour * SECS_PER_HOUR + minute * SECS_PER_MINUTE + second - offset;
	return true;
}

/* See credentials.h. */
const char *
pseudo_aws_take(PseudoAws *aws, PseudoAwsCredentials *found, const char *id, const char *secret,
				const char *token, const char *expiration)
{
	int64		expires = 0;

	if (token && *token == '\0')
		token = NULL;
	if (id == NULL)
		return "there is no access key id";
	if (secret == NULL)
		return "there is no secret access key";
	if (!pseudo_aws_is_visible(id) || !pseudo_aws_is_visible(secret) || (token && !pseudo_aws_is_visible(token)))
		return "the credentials are empty, or have a space or a control character in them";
	if (expiration && !read_expiration(expiration, &expires))
		return "the time when the credentials expire is not as in RFC 3339";

	found->access_key_id = pseudo_arena_strdup(aws->arena, id);
	found->secret_access_key = pseudo_arena_strdup(aws->arena, secret);
	found->session_token = token ? pseudo_arena_strdup(aws->arena, token) : NULL;
	found->expires = expires;
	return NULL;
}

/* See credentials.h. */
const char *
pseudo_aws_take_json(PseudoAws *aws, PseudoAwsCredentials *found, const PseudoJson *json,
					 const char *token_name)
{
	if (json == NULL)
		return "the answer is not JSON";
	return pseudo_aws_take(aws, found,
						   pseudo_aws_json_string(aws, json, "AccessKeyId"),
						   pseudo_aws_json_string(aws, json, "SecretAccessKey"),
						   pseudo_aws_json_string(aws, json, token_name),
						   pseudo_aws_json_string(aws, json, "Expiration"));
}
