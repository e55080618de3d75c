/*
 * coverage_hint.c
 *		What looks personal: names of columns, and shapes of values.  A hint, and no more.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "coverage.h"

/* Words in the name of a column, in a few languages. */
static const char *const words[] = {
	"address", "adresse", "anschrift", "bic", "birth", "birthday", "birthdate", "bday", "card", "cellphone", "city",
	"dob", "email", "fax", "firstname", "forename", "fullname", "geburtsdatum", "geburtstag", "gender", "iban", "ip",
	"lastname", "mail", "maiden", "mobile", "nachname", "name", "nickname", "nino", "nom", "passport", "phone", "plz",
	"postcode", "prenom", "ssn", "steuernummer", "strasse", "street", "surname", "tel", "telefon", "telephone", "vorname",
	"zip", "zipcode"
};

/* The fewest and the most digits of a telephone number, ITU-T E.164. */
#define PHONE_MIN	7
#define PHONE_MAX	15

/* An IBAN, ISO 13616. */
#define IBAN_MIN	15
#define IBAN_MAX	34

/* Returns true for a letter or digit of ASCII. */
static inline bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Returns true for what is shaped like "local@domain.tld". */
static bool
is_email(const char *value, size_t len)
{
	const char *at = memchr(value, '@', len);
	const char *end = value + len;
	const char *dot = NULL;

	if (at == NULL || at == value || memchr(at + 1, '@', end - at - 1) != NULL)
		return false;
	for (const char *c = at + 1; c < end; c++)
	{
		if (*c == '.' && c > at + 1 && c < end - 1)
			dot = c;
		else if (!is_alphanumeric(*c) && *c != '-' && !IS_HIGHBIT_SET(*c))
			return false;
	}
	return dot != NULL && memchr(value, ' ', at - value) == NULL;
}

/* Returns true for what is shaped like a telephone number that begins with "+", "0" or a parenthesis. */
static bool
is_phone(const char *value, size_t len)
{
	int			digits = 0;

	if (len < PHONE_MIN || (*value != '+' && *value != '0' && *value != '('))
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (value[i] >= '0' && value[i] <= '9')
			digits++;
		else if (strchr(" +-/.()", value[i]) == NULL)
			return false;
	}
	return digits >= PHONE_MIN && digits <= PHONE_MAX;
}

/* Returns true for an IBAN with the right check digits, ISO 7064 MOD 97-10. */
static bool
is_iban(const char *value, size_t len)
{
	char		iban[IBAN_MAX];
	size_t		n = 0;
	int			rest = 0;

	if (len < IBAN_MIN || value[0] < 'A' || value[0] > 'Z' || value[1] < 'A' || value[1] > 'Z')
		return false;
	for (size_t i = 0; i < len; i++)
	{
		if (value[i] == ' ')
			continue;
		if (n == IBAN_MAX || !((value[i] >= 'A' && value[i] <= 'Z') || (value[i] >= '0' && value[i] <= '9')))
			return false;
		iban[n++] = value[i];
	}
	for (size_t i = 0; n >= IBAN_MIN && i < n; i++)
	{
		char		c = iban[(i + 4) % n];

		rest = c <= '9' ? rest * 10 + (c - '0') : rest * 100 + (c - 'A' + 10);
		rest %= 97;
	}
	return rest == 1;
}

/* See coverage.h. */
void
pseudo_hint_count(PseudoSeen *seen, const char *value, size_t len)
{
	if (is_email(value, len))
		seen->emails++;
	else if (is_phone(value, len))
		seen->phones++;
	else if (is_iban(value, len))
		seen->ibans++;
}

/* Returns true if a word of the list is one of a name's, which end at anything but a letter. */
static bool
has_word(const char *name)
{
	while (*name)
	{
		size_t		len = 0;

		while (pg_ascii_tolower((unsigned char) name[len]) >= 'a' && pg_ascii_tolower((unsigned char) name[len]) <= 'z')
			len++;
		for (size_t i = 0; len > 0 && i < lengthof(words); i++)
		{
			if (strlen(words[i]) == len && pg_strncasecmp(words[i], name, len) == 0)
				return true;
		}
		name += len > 0 ? len : 1;
	}
	return false;
}

/* Append how many values have a shape. */
static void
append_shape(StringInfo hint, int64 n, const char *one, const char *many)
{
	if (n > 0)
		appendStringInfo(hint, "%s%lld %s", hint->len > 0 ? "; " : "", (long long) n, n == 1 ? one : many);
}

/* See coverage.h. */
char *
pseudo_hint(const PseudoCoverageColumn *column)
{
	StringInfoData hint;

	if (column->label->mode != PSEUDO_MODE_NONE && column->label->mode != PSEUDO_MODE_KEEP)
		return NULL;
	initStringInfo(&hint);
	if (has_word(column->name))
		appendStringInfoString(&hint, "the name looks personal");
	append_shape(&hint, column->seen.emails, "value looks like an e-mail address", "values look like e-mail addresses");
	append_shape(&hint, column->seen.phones, "value looks like a telephone number", "values look like telephone numbers");
	append_shape(&hint, column->seen.ibans, "value is an IBAN", "values are IBANs");
	return hint.len > 0 ? hint.data : NULL;
}
