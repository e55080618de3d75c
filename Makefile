EXTENSION = pseudo
MODULE_big = pseudo
DATA = sql/pseudo--1.0.sql
PGFILEDESC = "pseudo - pseudonyms for personal data"

OBJS = \
	src/pseudo.o \
	src/core/aes_gcm_siv.o \
	src/core/aes_gcm_siv_arm.o \
	src/core/aes_gcm_siv_avx512.o \
	src/core/aes_gcm_siv_portable.o \
	src/core/aes_gcm_siv_vaes.o \
	src/core/aes_gcm_siv_x86.o \
	src/core/base64.o \
	src/core/base64_avx512.o \
	src/core/base64_avx2.o \
	src/core/hmac.o \
	src/core/hmac_arm.o \
	src/core/hmac_avx512.o \
	src/core/hmac_x86.o \
	src/core/nonce.o \
	src/core/pseudonym.o \
	src/keyring/cache.o \
	src/keyring/json.o \
	src/keyring/keyring.o \
	src/keyring/options.o \
	src/keyring/process.o \
	src/keyring/provider.o \
	src/keyring/provider_aws.o \
	src/keyring/provider_command.o \
	src/keyring/provider_file.o \
	src/keyring/secret.o \
	src/functions/admin.o \
	src/functions/array.o \
	src/functions/bulk.o \
	src/functions/bulk_progress.o \
	src/functions/bulk_target.o \
	src/functions/call.o \
	src/functions/citus.o \
	src/functions/column.o \
	src/functions/json_values.o \
	src/functions/json_walk.o \
	src/functions/pseudo_role.o \
	src/functions/pseudonymize.o \
	src/functions/reidentify.o \
	src/functions/repseudonymize.o \
	src/functions/spelling.o \
	src/functions/support.o \
	src/functions/trigger.o \
	src/functions/trigger_arguments.o \
	src/functions/trigger_rows.o \
	src/functions/unique.o

REGRESS = pseudo service arguments malformed document options rights rotation batches \
	plans views attacks repseudonymize trigger trigger_attacks trigger_values citus bulk unique json_values objects
REGRESS_OPTS = --inputdir=$(srcdir)/test
ENCODING = UTF8
NO_LOCALE = 1
TAP_TESTS = 1

# The second module: the provider aws, which alone needs libcurl.
AWS_OBJS = \
	src/aws/agent.o \
	src/aws/assume_role.o \
	src/aws/client.o \
	src/aws/config.o \
	src/aws/credentials.o \
	src/aws/endpoint.o \
	src/aws/errors.o \
	src/aws/http.o \
	src/aws/imds.o \
	src/aws/module.o \
	src/aws/secrets_manager.o \
	src/aws/settings.o \
	src/aws/sigv4.o \
	src/aws/store.o \
	src/aws/trust.o

EXTRA_CLEAN = build tmp_check log results $(AWS_OBJS) $(AWS_OBJS:.o=.bc) pseudo_aws.so

# OpenSSL: AES where no processor instructions apply, SHA-256, randomness.
SHLIB_LINK = -lcrypto

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# PGXS builds one module; this is the other, by its commands for the first.
all: pseudo_aws$(DLSUFFIX)
$(AWS_OBJS): override CPPFLAGS += -DPSEUDO_VERSION='"$(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(srcdir)/pseudo.control)"'
pseudo_aws$(DLSUFFIX): $(AWS_OBJS)
	$(CC) $(CFLAGS) -shared -o $@ $^ $(LDFLAGS) -lcurl -lssl -lcrypto

install: install-aws
installdirs: installdirs-aws
uninstall: uninstall-aws
.PHONY: install-aws uninstall-aws installdirs-aws
install-aws: pseudo_aws$(DLSUFFIX) installdirs-aws
	$(INSTALL_SHLIB) pseudo_aws$(DLSUFFIX) '$(DESTDIR)$(pkglibdir)/'
installdirs-aws:
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'
uninstall-aws:
	rm -f '$(DESTDIR)$(pkglibdir)/pseudo_aws$(DLSUFFIX)'

# The core on its own, without PostgreSQL: see test/unit/Makefile.
.PHONY: vectors unit bench bench-count
vectors unit bench bench-count:
	$(MAKE) -C test/unit $(if $(filter unit,$@),check,$@)
