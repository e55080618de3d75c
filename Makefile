EXTENSION = pseudo
MODULE_big = pseudo
DATA = pseudo--1.0.sql
PGFILEDESC = "pseudo - pseudonyms for personal data"

OBJS = \
	src/pseudo.o \
	src/core/aes_gcm_siv.o \
	src/core/aes_gcm_siv_portable.o \
	src/core/aes_gcm_siv_x86.o \
	src/core/nonce.o \
	src/core/pseudonym.o \
	src/keyring/cache.o \
	src/keyring/json.o \
	src/keyring/keyring.o \
	src/keyring/options.o \
	src/keyring/provider.o \
	src/keyring/provider_file.o \
	src/keyring/secret.o \
	src/functions/admin.o \
	src/functions/array.o \
	src/functions/call.o \
	src/functions/pseudo_role.o \
	src/functions/pseudonymize.o \
	src/functions/reidentify.o \
	src/functions/repseudonymize.o

REGRESS = pseudo service arguments malformed document options rights rotation \
	plans views attacks repseudonymize
REGRESS_OPTS = --inputdir=$(srcdir)
ENCODING = UTF8
NO_LOCALE = 1
TAP_TESTS = 1
EXTRA_CLEAN = build tmp_check log results

# OpenSSL: AES where no processor instructions apply, SHA-256, randomness.
SHLIB_LINK = -lcrypto

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The core on its own, without PostgreSQL: see test/unit/Makefile.
.PHONY: vectors unit
vectors unit:
	$(MAKE) -C test/unit $(if $(filter unit,$@),check,$@)
