/*
 * config.c
 *		The files that the SDKs and the aws CLI share: ~/.aws/config and ~/.aws/credentials.
 *
 * A file is read into the arena, for it may hold secret keys, and cut into strings
 * where it is.  What both files say is one list, the last setting first: so the
 * last of two wins, and the credentials file over the config file, which is read before it.
 * The grammar is some 120 lines; aws-c-sdkutils, which has it too, brings all of the SDK's runtime.
 *
 * A file that is there and cannot be read, or a profile that is named and is not there, ends every
 * call of AWS: to go on without would mean another identity, or a public endpoint.
 */
#include "postgres.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include "storage/fd.h"

#include "config.h"

#define FILE_MAX	(1024 * 1024)	/* bytes */

#define FILES_HINT \
	"The files are ~/.aws/config and ~/.aws/credentials of the server's user, or those that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name."

typedef enum SectionKind
{
	SECTION_NONE,				/* before the first one */
	SECTION_PROFILE,
	SECTION_SERVICES,
	SECTION_OTHER				/* read over */
} SectionKind;

/* A setting, or with an empty name the section itself. */
typedef struct Setting
{
	SectionKind kind;
	const char *section;		/* the name of the profile, ... */
	PseudoAwsConfigFile file;
	bool		is_bare_default;	/* in [default], without the word
									 * "profile" */
	const char *group;			/* the setting that this one is indented
								 * under, or NULL */
	const char *name;
	char	   *value;
	struct Setting *next;		/* that came before */
} Setting;

struct PseudoAwsConfig
{
	Setting    *last;
	const char *problem;
	List	   *missing;		/* environment variables that name a file
								 * which is not there */
};

/* A file that is being parsed. */
typedef struct Parser
{
	PseudoAws  *aws;
	PseudoAwsConfigFile file;
	SectionKind kind;			/* of the section that the line is in */
	const char *section;
	bool		is_bare_default;	/* the section is [default] */
	bool		has_profile_default;	/* there is a section [profile
										 * default] */
	Setting    *open;			/* that an indented line belongs to, or NULL */
	Setting    *last;
} Parser;

/* Keep what is wrong with a file; the first problem stays. */
static void
set_problem(PseudoAws *aws, const char *problem)
{
	if (aws->config->problem == NULL)
		aws->config->problem = problem;
}

/* Returns true for a blank, in the grammar of these files. */
static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Cut the blanks at both ends of a string, in place. */
static char *
trim(char *string)
{
	char	   *end = string + strlen(string);

	while (end > string && is_blank(end[-1]))
		*--end = '\0';
	while (is_blank(*string))
		string++;
	return string;
}

/* Cut a comment that follows a blank. */
static void
cut_comment(char *line)
{
	for (char *c = line + 1; *line && *c; c++)
	{
		if ((*c == '#' || *c == ';') && is_blank(c[-1]))
		{
			*c = '\0';
			return;
		}
	}
}

/* Add a setting to the list. */
static Setting *
add_setting(Parser *p, const char *group, const char *name, char *value)
{
	Setting    *setting = MemoryContextAllocZero(p->aws->context, sizeof(Setting));

	setting->kind = p->kind;
	setting->section = p->section;
	setting->file = p->file;
	setting->is_bare_default = p->is_bare_default;
	setting->group = group;
	setting->name = name;
	setting->value = value;
	setting->next = p->last;
	p->last = setting;
	return setting;
}

/* The name after a section's keyword, without quotes; NULL where the keyword is another. */
static const char *
after_keyword(char *string, const char *keyword)
{
	Size		len = strlen(keyword);
	char	   *name;
	Size		end;

	if (strncmp(string, keyword, len) != 0 || !is_blank(string[len]))
		return NULL;
	name = trim(string + len);
	end = strlen(name);
	if (end >= 2 && (*name == '"' || *name == '\'') && name[end - 1] == *name)
	{
		name[end - 1] = '\0';
		name++;
	}
	return name;
}

/* Parse "[...]"; what follows it may only be a comment. */
static bool
parse_section(Parser *p, char *line)
{
	char	   *string = line + 1;
	char	   *end = strchr(string, ']');
	const char *name;

	if (end == NULL)
		return false;
	*end++ = '\0';
	end = trim(end);
	if (*end && *end != '#' && *end != ';')
		return false;

	string = trim(string);
	p->open = NULL;
	p->kind = SECTION_PROFILE;
	p->section = string;
	p->is_bare_default = p->file == PSEUDO_AWS_CONFIG_FILE && strcmp(string, "default") == 0;
	if (p->file == PSEUDO_AWS_CONFIG_FILE && !p->is_bare_default)
	{
		if ((name = after_keyword(string, "profile")) == NULL)
		{
			name = after_keyword(string, "services");
			p->kind = name ? SECTION_SERVICES : SECTION_OTHER;
		}
		else if (strcmp(name, "default") == 0)
			p->has_profile_default = true;
		p->section = name;
	}
	(void) add_setting(p, NULL, "", NULL);
	return true;
}

/* Parse "name = value", in a group or not. */
static Setting *
parse_setting(Parser *p, const char *group, char *line)
{
	char	   *equals = strchr(line, '=');
	char	   *name;

	if (equals == NULL || p->kind == SECTION_NONE)
		return NULL;
	*equals = '\0';
	name = trim(line);
	if (*name == '\0')
		return NULL;
	return add_setting(p, group, name, trim(equals + 1));
}

/* Append a line to the value that it continues, which is before it in the same memory. */
static void
continue_value(Setting *setting, const char *line)
{
	char	   *end = setting->value + strlen(setting->value);

	*end++ = '\n';
	memmove(end, line, strlen(line) + 1);
}

/* Parse a line, without its end; false where it is none of this grammar. */
static bool
parse_line(Parser *p, char *line)
{
	bool		indented = is_blank(*line);
	char	   *string = trim(line);

	if (*string == '\0' || *string == '#' || *string == ';')
		return true;
	if (indented && p->open && *p->open->value)
	{
		continue_value(p->open, string);
		return true;
	}
	if (*string == '[' && !(indented && p->open))
		return parse_section(p, string);
	if (strncmp(string, "credential_process", strlen("credential_process")) != 0)	/* a shell's ; and # are
																					 * no comments of ours */
		cut_comment(string);
	if (indented && p->open)
		return parse_setting(p, p->open->name, string) != NULL;
	p->open = parse_setting(p, NULL, string);
	return p->open != NULL;
}

/* Take [default] out of a file that has [profile default]: the second replaces the first, whole. */
static void
drop_bare_default(Parser *p)
{
	Setting   **link = &p->last;

	while (*link)
	{
		if ((*link)->is_bare_default)
			*link = (*link)->next;
		else
			link = &(*link)->next;
	}
}

/* Parse a file. */
static void
parse_file(PseudoAws *aws, const char *path, char *data, PseudoAwsConfigFile file)
{
	Parser		p = {.aws = aws, .file = file, .last = aws->config->last};
	int			number = 1;

	for (char *line = data, *end; line; line = end, number++)
	{
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (!parse_line(&p, line))
		{
			set_problem(aws, psprintf("line %d of file \"%s\" is neither a section nor a setting",
									  number, path));
			return;
		}
	}
	if (p.has_profile_default)
		drop_bare_default(&p);
	aws->config->last = p.last;
}

/* The home directory: HOME, else the server's user's own; NULL where there is none. */
static const char *
home_directory(void)
{
	const char *home = pseudo_aws_env("HOME");
	struct passwd *user;

	if (home)
		return home;
	user = getpwuid(geteuid());
	return user ? user->pw_dir : NULL;
}

/* The path that an environment variable names, or the usual one; NULL where there is no home directory. */
static const char *
file_path(const char *variable, const char *usual)
{
	const char *path = pseudo_aws_env(variable);
	const char *home;

	if (path == NULL)
		path = usual;
	if (strncmp(path, "~/", 2) != 0)
		return path;
	home = home_directory();
	return home ? psprintf("%s%s", home, path + 1) : NULL;
}

/* Read and parse the file that a variable names, or the usual one; a missing one is an empty one. */
static void
load_file(PseudoAws *aws, const char *variable, const char *usual, PseudoAwsConfigFile file)
{
	const char *path = file_path(variable, usual);
	const char *problem;
	char	   *data;
	int			fd;

	if (path == NULL)
		return;
	fd = OpenTransientFile(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		if (errno == ENOENT || errno == ENOTDIR)
		{
			if (pseudo_aws_env(variable))
				aws->config->missing = lappend(aws->config->missing, unconstify(char *, variable));
		}
		else
			set_problem(aws, psprintf("could not open file \"%s\": %s", path, pg_strerror(errno)));
		return;
	}
	problem = pseudo_aws_read_file(aws, fd, path, FILE_MAX, &data);
	CloseTransientFile(fd);
	if (problem)
		set_problem(aws, problem);
	else
		parse_file(aws, path, data, file);
}

/* Read both files, where they are not read yet. */
static void
read_files(PseudoAws *aws)
{
	if (aws->config)
		return;
	aws->config = MemoryContextAllocZero(aws->context, sizeof(struct PseudoAwsConfig));
	load_file(aws, "AWS_CONFIG_FILE", "~/.aws/config", PSEUDO_AWS_CONFIG_FILE);
	load_file(aws, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", PSEUDO_AWS_CREDENTIALS_FILE);
}

/* The profile that is named, and *where, or NULL. */
static const char *
named_profile(PseudoAws *aws, const char **where)
{
	const char *profile = pseudo_option(aws->options, "profile");

	*where = "option \"profile\"";
	if (profile)
		return profile;
	*where = "AWS_PROFILE";
	if ((profile = pseudo_aws_env("AWS_PROFILE")))
		return profile;
	*where = "AWS_DEFAULT_PROFILE";
	return pseudo_aws_env("AWS_DEFAULT_PROFILE");
}

/* See config.h. */
const char *
pseudo_aws_config_profile(PseudoAws *aws)
{
	const char *where;
	const char *profile = named_profile(aws, &where);

	return profile ? profile : "default";
}

/* The last setting of this name, or NULL; the names of settings compare without case. */
static const Setting *
find(PseudoAws *aws, PseudoAwsConfigFile file, SectionKind kind, const char *section,
	 const char *group, const char *name)
{
	read_files(aws);
	for (const Setting *s = aws->config->last; s; s = s->next)
	{
		if ((s->file & file) && s->kind == kind && strcmp(s->section, section) == 0 &&
			(s->group == NULL) == (group == NULL) &&
			(group == NULL || pg_strcasecmp(s->group, group) == 0) &&
			pg_strcasecmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

/* The value of a setting; NULL where there is none or it is empty. */
static const char *
value_of(const Setting *setting)
{
	return setting && *setting->value ? setting->value : NULL;
}

/* See config.h. */
bool
pseudo_aws_config_has(PseudoAws *aws, const char *profile)
{
	return find(aws, PSEUDO_AWS_ANY_FILE, SECTION_PROFILE, profile, NULL, "") != NULL;
}

/* See config.h. */
bool
pseudo_aws_config_check(PseudoAws *aws)
{
	const char *where;
	const char *profile = named_profile(aws, &where);

	read_files(aws);
	if (aws->config->problem)
		return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT,
						   ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
						   "could not read the AWS configuration files",
						   pseudo_aws_sentence(aws->config->problem), FILES_HINT);
	if (profile && !pseudo_aws_config_has(aws, profile))
		return pseudo_fail(aws->failure, PSEUDO_FAIL_TRANSIENT,
						   ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION,
						   psprintf("AWS profile \"%s\" does not exist", profile),
						   psprintf("It is named by %s, and neither of the AWS configuration files has it.", where),
						   FILES_HINT);
	return true;
}

/* See config.h. */
const char *
pseudo_aws_config_get(PseudoAws *aws, const char *profile, const char *name)
{
	return pseudo_aws_config_get_from(aws, PSEUDO_AWS_ANY_FILE, profile, name);
}

/* See config.h. */
const char *
pseudo_aws_config_get_from(PseudoAws *aws, PseudoAwsConfigFile file, const char *profile,
						   const char *name)
{
	return value_of(find(aws, file, SECTION_PROFILE, profile, NULL, name));
}

/* See config.h. */
const char *
pseudo_aws_config_service(PseudoAws *aws, const char *profile, const char *service,
						  const char *name)
{
	const char *services = pseudo_aws_config_get(aws, profile, "services");

	if (services == NULL)
		return NULL;
	return value_of(find(aws, PSEUDO_AWS_ANY_FILE, SECTION_SERVICES, services, service, name));
}

/* See config.h. */
const char *
pseudo_aws_setting(PseudoAws *aws, const char *variable, const char *setting, const char **where)
{
	const char *profile = pseudo_aws_config_profile(aws);
	const char *value = pseudo_aws_env(variable);

	*where = value ? psprintf("environment variable %s", variable) :
		psprintf("setting %s of profile \"%s\"", setting, profile);
	return value ? value : pseudo_aws_config_get(aws, profile, setting);
}

/* See config.h. */
bool
pseudo_aws_setting_is_on(PseudoAws *aws, const char *variable, const char *setting)
{
	const char *where;
	const char *value = pseudo_aws_setting(aws, variable, setting, &where);

	return value && pg_strcasecmp(value, "true") == 0;
}

/* See config.h. */
List *
pseudo_aws_config_missing(PseudoAws *aws)
{
	read_files(aws);
	return aws->config->missing;
}

/* See config.h. */
List *
pseudo_aws_config_names(PseudoAws *aws, const char *profile)
{
	List	   *names = NIL;

	read_files(aws);
	for (const Setting *s = aws->config->last; s; s = s->next)
	{
		if (s->kind == SECTION_PROFILE && strcmp(s->section, profile) == 0 &&
			s->group == NULL && *s->name)
			names = lappend(names, pstrdup(s->name));
	}
	return names;
}
