/*
 * aws.c
 *		What all files of this folder use: the environment, JSON, XML, small files, pauses.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base64.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "../compat.h"
#include "../keyring/small_file.h"
#include "aws.h"

#define MAX_TOKEN		20000	/* bytes of a token's file; STS takes no more */

/* A JSON answer, freed with the context that it is in. */
typedef struct Answer
{
	MemoryContextCallback callback;
	PseudoJsonText json;
} Answer;

/* See aws.h. */
const char *
pseudo_aws_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* See aws.h. */
const char *
pseudo_aws_sentence(const char *words)
{
	Size		len = strlen(words);

	return psprintf("%c%s%s", pg_toupper((unsigned char) words[0]), words + 1,
					len > 0 && words[len - 1] == '.' ? "" : ".");
}

/*
 * Memory context callback: free an answer's decoded strings.  Its nodes are in a child of the
 * context, which is gone by now.
 */
static void
answer_free(void *arg)
{
	Answer	   *answer = arg;

	pseudo_secret_free(answer->json.decoded);
}

/* See aws.h. */
PseudoJson *
pseudo_aws_json(PseudoAws *aws, const char *data, Size len)
{
	MemoryContext old = MemoryContextSwitchTo(aws->context);
	Answer	   *answer = palloc0(sizeof(Answer));
	const char *fault;
	bool		ok;

	answer->callback.func = answer_free;
	answer->callback.arg = answer;
	MemoryContextRegisterResetCallback(aws->context, &answer->callback);
	ok = pseudo_json_parse(&answer->json, data, len, &fault);
	MemoryContextSwitchTo(old);
	return ok ? answer->json.root : NULL;
}

/* See aws.h. */
const PseudoSpan *
pseudo_aws_json_span(const PseudoJson *object, const char *name)
{
	const PseudoJson *field = pseudo_json_field(object, name);

	return field && field->type == PSEUDO_NODE_STRING ? &field->text : NULL;
}

/* See aws.h. */
const char *
pseudo_aws_json_string(PseudoAws *aws, const PseudoJson *object, const char *name)
{
	const PseudoSpan *string = pseudo_aws_json_span(object, name);

	return string ? pseudo_arena_copy(aws->arena, string->data, string->len) : NULL;
}

/* See aws.h.  Not the core's decoder: that one refuses what is not canonical, and AWS need not be. */
char *
pseudo_aws_decode_base64(PseudoAws *aws, const PseudoSpan *string, Size *len)
{
	int			room = pg_b64_dec_len((int) string->len);
	void	   *bytes = pseudo_arena_alloc(aws->arena, (Size) room + 1);
	int			got = pg_b64_decode(string->data, (int) string->len, bytes, room);

	if (got < 0)
		return NULL;
	*len = (Size) got;
	return bytes;
}

/* See aws.h. */
const char *
pseudo_aws_percent_encode(PseudoArena *arena, const char *string, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";
	static const char unreserved[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
	char	   *encoded = pseudo_arena_alloc(arena, 3 * strlen(string) + 1);
	char	   *to = encoded;

	for (const char *p = string; *p; p++)
	{
		if (strchr(unreserved, *p) || strchr(keep, *p))
			*to++ = *p;
		else
		{
			*to++ = '%';
			*to++ = hex[(uint8) *p >> 4];
			*to++ = hex[(uint8) *p & 15];
		}
	}
	return encoded;
}

/* See aws.h. */
char *
pseudo_aws_clean(const char *string, Size max)
{
	char	   *copy = string ? pnstrdup(string, max) : pstrdup("");

	for (char *c = copy; *c; c++)
	{
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return copy;
}

/* See aws.h. */
bool
pseudo_aws_is_visible(const char *string)
{
	for (const char *p = string; *p; p++)
	{
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return *string != '\0';
}

/* See aws.h. */
const char *
pseudo_aws_without_slashes(const char *url)
{
	Size		len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return pnstrdup(url, len);
}

/* See aws.h. */
const char *
pseudo_aws_arn_region(const char *arn)
{
	if (arn == NULL || strncmp(arn, "arn:", 4) != 0)
		return NULL;
	for (int i = 0; i < 3 && arn; i++)
	{
		arn = strchr(arn, ':');
		arn = arn ? arn + 1 : NULL;
	}
	return arn && *arn && *arn != ':' ? pnstrdup(arn, strcspn(arn, ":")) : NULL;
}

/* See aws.h. */
void
pseudo_aws_pause(int64 ms)
{
	int64		end = pseudo_now_ms() + ms;
	int64		left;

	while ((left = end - pseudo_now_ms()) > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 (long) left, pseudo_wait_event(PSEUDO_WAIT_RETRY));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Decode the five entities that XML has by itself, in place. */
static void
decode_entities(char *string)
{
	static const char *const entities[] = {"&lt;", "&gt;", "&quot;", "&apos;", "&amp;"};
	static const char plain[] = "<>\"'&";
	char	   *to = string;

	while (*string)
	{
		Size		step = 1;
		char		c = *string;

		for (int i = 0; i < (int) lengthof(entities) && c == '&'; i++)
		{
			if (strncmp(string, entities[i], strlen(entities[i])) != 0)
				continue;
			c = plain[i];
			step = strlen(entities[i]);
			break;
		}
		*to++ = c;
		string += step;
	}
	*to = '\0';
}

/*
 * See aws.h.  No parser of XML, which PostgreSQL may be built without: STS escapes what it repeats of a request, so no
 * text in its answers can look like a tag, and each name that we look for is that of one element.
 */
const char *
pseudo_aws_xml(PseudoAws *aws, const char *xml, const char *name)
{
	const char *start = strstr(xml, psprintf("<%s>", name));
	const char *end;
	char	   *string;

	if (start == NULL)
		return NULL;
	start += strlen(name) + 2;
	end = strstr(start, psprintf("</%s>", name));
	if (end == NULL)
		return NULL;
	string = pseudo_arena_copy(aws->arena, start, end - start);
	decode_entities(string);
	return string;
}

/* See aws.h. */
const char *
pseudo_aws_read_file(PseudoAws *aws, int fd, const char *path, Size max, char **data)
{
	struct stat st;
	ssize_t		len;
	Size		room;

	if (fstat(fd, &st) != 0)
		return psprintf("could not read file \"%s\": %m", path);
	if (!S_ISREG(st.st_mode))
		return psprintf("could not read file \"%s\": it is no regular file", path);
	room = Min((Size) st.st_size, max) + 1; /* one more, to see that it is
											 * larger */
	*data = pseudo_arena_alloc(aws->arena, room + 1);
	len = pseudo_read_to_end(fd, *data, room);
	if (len < 0)
		return psprintf("could not read file \"%s\": %m", path);
	if ((Size) len > max)
		return psprintf("file \"%s\" is larger than %zu bytes", path, max);
	if ((Size) len == room)
		return psprintf("file \"%s\" changed while it was read", path);
	if (strlen(*data) != (Size) len)
		return psprintf("file \"%s\" has a zero byte in it", path);
	return NULL;
}

/* See aws.h. */
const char *
pseudo_aws_read_token(PseudoAws *aws, const char *path, const char **token)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | PG_BINARY);
	const char *problem;
	char	   *data = NULL;

	if (fd < 0)
		return psprintf("could not open file \"%s\": %m", path);
	problem = pseudo_aws_read_file(aws, fd, path, MAX_TOKEN, &data);
	CloseTransientFile(fd);
	if (problem == NULL && *data == '\0')
		problem = psprintf("file \"%s\" is empty", path);
	*token = data;
	return problem;
}
