/*
 * vectors.c
 *		Run files of AES-GCM-SIV test vectors through every implementation.
 *
 *	vectors [--refused | --few] FILE...
 *
 * A row is key, nonce, aad, plaintext, ciphertext||tag in hex, separated by tabs;
 * "-" is empty.  One row is one test: seal, open, both in place, and every
 * altered input refused.  With --refused a row is one that must be refused as it is:
 * by open, by open in place, and in a batch, and what was in the output is zeroed.
 * With --few less input is altered, for tools that make this slow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE				/* getline */
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "../../src/core/siv.h"

#define COLUMNS 5

/* Rows with at most this many bytes have every bit flipped, others 256 of them; 16 with --few. */
#define SHORT_ROW 512
static bool few;

typedef struct bytes
{
	uint8_t    *p;				/* exactly len bytes, so that tools see overruns */
	size_t		len;
} bytes;

enum
{
	KEY, NONCE, AAD, TEXT, SEALED
};

/* Stop at a row that cannot be read. */
static void
malformed(unsigned long line, const char *why)
{
	fprintf(stderr, "line %lu: %s\n", line, why);
	exit(2);
}

/* len bytes of memory, filled; never NULL. */
static uint8_t *
allocate(size_t len, int fill)
{
	uint8_t    *p = malloc(len > 0 ? len : 1);

	if (p == NULL)
	{
		fprintf(stderr, "out of memory\n");
		exit(2);
	}
	if (len > 0)
		memset(p, fill, len);
	return p;
}

/* The value of a hex digit, -1 for others. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Read one column of len characters. */
static bytes
parse_hex(const char *text, size_t len, unsigned long line)
{
	bytes		b = {NULL, 0};

	if (len == 0)
		malformed(line, "empty column, \"-\" expected");
	if (len == 1 && text[0] == '-')
	{
		b.p = allocate(0, 0);
		return b;
	}
	if (len % 2 != 0)
		malformed(line, "odd number of hex digits");
	b.len = len / 2;
	b.p = allocate(b.len, 0);
	for (size_t i = 0; i < b.len; i++)
	{
		int			high = hex_digit(text[2 * i]);
		int			low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			malformed(line, "not a hex digit");
		b.p[i] = (uint8_t) (high << 4 | low);
	}
	return b;
}

/* Read the columns of a row; false where the line has none. */
static bool
parse_row(bytes *row, char *text, size_t len, unsigned long line)
{
	char	   *end = text + len;

	while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	if (text == end || text[0] == '#')
		return false;

	for (int i = 0; i < COLUMNS; i++)
	{
		char	   *tab = memchr(text, '\t', (size_t) (end - text));

		if ((tab == NULL) != (i == COLUMNS - 1))
			malformed(line, "five columns expected");
		if (tab == NULL)
			tab = end;
		row[i] = parse_hex(text, (size_t) (tab - text), line);
		text = tab + 1;
	}
	if (row[KEY].len != 16 && row[KEY].len != 32)
		malformed(line, "a key has 16 or 32 bytes");
	if (row[NONCE].len != PSEUDO_NONCE_LEN)
		malformed(line, "a nonce has 12 bytes");
	if (row[SEALED].len != row[TEXT].len + PSEUDO_TAG_LEN)
		malformed(line, "ciphertext and tag do not match the plaintext's length");
	return true;
}

/* Whether the implementation refuses the row and zeroes the output. */
static bool
refuses(const pseudo_siv_key *key, const bytes *row)
{
	size_t		n = row[TEXT].len;
	uint8_t    *out = allocate(n, 0xa5);
	bool		ok;

	ok = pseudo_siv_open(key, row[NONCE].p, row[AAD].p, row[AAD].len,
						 row[SEALED].p, row[SEALED].len, out) == PSEUDO_NOT_AUTHENTIC;
	for (size_t i = 0; i < n; i++)
		ok = ok && out[i] == 0;
	free(out);

	/* In place too, on a copy. */
	out = allocate(row[SEALED].len, 0);
	memcpy(out, row[SEALED].p, row[SEALED].len);
	ok = ok && pseudo_siv_open(key, row[NONCE].p, row[AAD].p, row[AAD].len,
							   out, row[SEALED].len, out) == PSEUDO_NOT_AUTHENTIC;
	for (size_t i = 0; i < n; i++)
		ok = ok && out[i] == 0;
	free(out);
	return ok;
}

/* Whether a batch of twenty times the row refuses each of them and zeroes the output. */
static bool
batch_refuses(const pseudo_siv_key *key, const bytes *row)
{
	enum
	{
		N = 20
	};
	size_t		n = row[TEXT].len;
	pseudo_siv_item items[N];
	bool		ok = true;

	for (int i = 0; i < N; i++)
		items[i] = (pseudo_siv_item) {.nonce = row[NONCE].p, .in = row[SEALED].p, .in_len = row[SEALED].len,
			.out = allocate(n, 0xa5), .status = PSEUDO_OK};
	pseudo_siv_open_batch(key, row[AAD].p, row[AAD].len, items, N);
	for (int i = 0; i < N; i++)
	{
		ok = ok && items[i].status == PSEUDO_NOT_AUTHENTIC;
		for (size_t k = 0; k < n; k++)
			ok = ok && items[i].out[k] == 0;
		free(items[i].out);
	}
	return ok;
}

/* Whether the implementation in use refuses a row that must be refused. */
static bool
run_refused_row(const bytes *row)
{
	pseudo_siv_key key;

	return pseudo_siv_key_init(&key, row[KEY].p, row[KEY].len) == PSEUDO_OK &&
		refuses(&key, row) && batch_refuses(&key, row);
}

/* Whether each flipped bit of a column makes open refuse. */
static bool
refuses_flips(const pseudo_siv_key *key, const bytes *row, int column)
{
	size_t		bits = row[column].len * 8;
	size_t		step = few ? bits / 16 + 1 : row[TEXT].len + row[AAD].len <= SHORT_ROW ? 1 : bits / 256 + 1;

	for (size_t bit = 0; bit < bits; bit += step)
	{
		bool		ok;

		row[column].p[bit / 8] ^= (uint8_t) (1 << bit % 8);
		ok = refuses(key, row);
		row[column].p[bit / 8] ^= (uint8_t) (1 << bit % 8);
		if (!ok)
			return false;
	}
	return true;
}

/* Whether the implementation in use does all that a row asks. */
static bool
run_row(const bytes *row)
{
	pseudo_siv_key key;
	size_t		n = row[TEXT].len;
	size_t		n_sealed = row[SEALED].len;
	uint8_t    *out = allocate(n_sealed, 0xa5);
	uint8_t    *opened = allocate(n, 0xa5);
	bytes		shorter[COLUMNS];
	bool		ok;

	ok = pseudo_siv_key_init(&key, row[KEY].p, row[KEY].len) == PSEUDO_OK;

	/* Into another place. */
	ok = ok && pseudo_siv_seal(&key, row[NONCE].p, row[AAD].p, row[AAD].len,
							   row[TEXT].p, n, out) == PSEUDO_OK;
	ok = ok && memcmp(out, row[SEALED].p, n_sealed) == 0;
	ok = ok && pseudo_siv_open(&key, row[NONCE].p, row[AAD].p, row[AAD].len,
							   row[SEALED].p, n_sealed, opened) == PSEUDO_OK;
	ok = ok && memcmp(opened, row[TEXT].p, n) == 0;

	/* In place. */
	memcpy(out, row[TEXT].p, n);
	ok = ok && pseudo_siv_seal(&key, row[NONCE].p, row[AAD].p, row[AAD].len,
							   out, n, out) == PSEUDO_OK;
	ok = ok && memcmp(out, row[SEALED].p, n_sealed) == 0;
	ok = ok && pseudo_siv_open(&key, row[NONCE].p, row[AAD].p, row[AAD].len,
							   out, n_sealed, out) == PSEUDO_OK;
	ok = ok && memcmp(out, row[TEXT].p, n) == 0;

	/* Altered or cut off. */
	ok = ok && refuses_flips(&key, row, SEALED);
	ok = ok && refuses_flips(&key, row, NONCE);
	ok = ok && refuses_flips(&key, row, AAD);
	memcpy(shorter, row, sizeof(shorter));
	if (n > 0)
	{
		shorter[SEALED].len--;
		shorter[TEXT].len--;
		ok = ok && refuses(&key, shorter);
	}
	for (size_t i = 0; i < PSEUDO_TAG_LEN; i++)
		ok = ok && pseudo_siv_open(&key, row[NONCE].p, row[AAD].p, row[AAD].len,
								   row[SEALED].p, i, opened) == PSEUDO_NOT_AUTHENTIC;

	free(out);
	free(opened);
	return ok;
}

/* Read the file into an array of rows; the number of them. */
static size_t
read_rows(const char *path, bytes (**rows)[COLUMNS])
{
	FILE	   *file = fopen(path, "r");
	char	   *text = NULL;
	size_t		room = 0;
	size_t		n = 0;
	size_t		rows_room = 0;
	unsigned long line = 0;
	ssize_t		len;

	if (file == NULL)
	{
		perror(path);
		exit(2);
	}
	*rows = NULL;
	while ((len = getline(&text, &room, file)) >= 0)
	{
		line++;
		if (n == rows_room)
		{
			void	   *more;

			rows_room = rows_room * 2 + 64;
			more = realloc(*rows, rows_room * sizeof(**rows));
			if (more == NULL)
				malformed(line, "out of memory");
			*rows = more;
		}
		if (parse_row((*rows)[n], text, (size_t) len, line))
			n++;
	}
	if (ferror(file))
	{
		perror(path);
		exit(2);
	}
	fclose(file);
	free(text);
	return n;
}

/* Run the rows of a file through an implementation; whether all passed. */
static bool
run_rows(const char *path, const char *impl, bytes (*rows)[COLUMNS], size_t n, bool (*run) (const bytes *row))
{
	size_t		passed = 0;

	for (size_t i = 0; i < n; i++)
	{
		if (run(rows[i]))
			passed++;
		else
			fprintf(stderr, "%s: %s: row %zu failed\n", path, impl, i + 1);
	}
	printf("%s: %s: %zu passed, %zu failed\n", path, impl, passed, n - passed);
	return passed == n;
}

/* Run a file through every implementation, or the one that PSEUDO_SIV_IMPL names; whether all passed. */
static bool
run_file(const char *path, bool (*run) (const bytes *row))
{
	const char *only = getenv("PSEUDO_SIV_IMPL");
	bytes		(*rows)[COLUMNS];
	size_t		n = read_rows(path, &rows);
	bool		all_passed = true;
	bool		any = false;

	for (const pseudo_siv_choice *choice = pseudo_siv_choices; choice->name != NULL; choice++)
	{
		if (only != NULL && only[0] != '\0' && strcmp(only, choice->name) != 0)
			continue;
		if (!pseudo_siv_use(choice->name))
			continue;
		any = true;
		all_passed = run_rows(path, choice->name, rows, n, run) && all_passed;
	}
	if (!any)
		fprintf(stderr, "no implementation to test\n");
	if (n == 0)
		fprintf(stderr, "no row in %s\n", path);

	for (size_t i = 0; i < n; i++)
		for (int c = 0; c < COLUMNS; c++)
			free(rows[i][c].p);
	free(rows);
	return all_passed && any && n > 0;
}

int
main(int argc, char **argv)
{
	bool		refused = argc > 1 && strcmp(argv[1], "--refused") == 0;
	int			first;
	bool		all_passed = true;

	few = argc > 1 && strcmp(argv[1], "--few") == 0;
	first = refused || few ? 2 : 1;
	if (argc <= first)
	{
		fprintf(stderr, "usage: vectors [--refused | --few] FILE...\n");
		return 2;
	}
	for (int i = first; i < argc; i++)
		all_passed = run_file(argv[i], refused ? run_refused_row : run_row) && all_passed;
	return all_passed ? 0 : 1;
}
