# make [PG_CONFIG=...] [WITH_AWS=no] builds; make install, installcheck, uninstall and clean do what they say; make dist
# makes the archives of a release.  A build in another folder: make -f SOURCE/Makefile there.

EXTENSION = pseudo
MODULE_big = pseudo
PGFILEDESC = "pseudo - pseudonyms for personal data"

# The one place of the version is pseudo.control.
source := $(dir $(firstword $(MAKEFILE_LIST)))
EXTVERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" '$(source)pseudo.control')

DATA = $(patsubst $(source)%,%,$(wildcard $(source)sql/pseudo--*.sql))

OBJS = \
	src/pseudo.o \
	src/core/base64.o \
	src/core/base64_avx2.o \
	src/core/base64_avx512.o \
	src/core/base64_portable.o \
	src/core/hmac.o \
	src/core/hmac_arm.o \
	src/core/hmac_avx512.o \
	src/core/hmac_portable.o \
	src/core/hmac_x86.o \
	src/core/nonce.o \
	src/core/pseudonym.o \
	src/core/siv.o \
	src/core/siv_arm.o \
	src/core/siv_avx512.o \
	src/core/siv_avx512vl.o \
	src/core/siv_portable.o \
	src/core/siv_vaes.o \
	src/core/siv_x86.o \
	src/core/wipe.o \
	src/keyring/attempts.o \
	src/keyring/audit.o \
	src/keyring/audit_json.o \
	src/keyring/cache.o \
	src/keyring/count.o \
	src/keyring/derived.o \
	src/keyring/document.o \
	src/keyring/dropped.o \
	src/keyring/failure.o \
	src/keyring/json_escape.o \
	src/keyring/json_tree.o \
	src/keyring/keyring.o \
	src/keyring/limits.o \
	src/keyring/load.o \
	src/keyring/options.o \
	src/keyring/policy.o \
	src/keyring/process.o \
	src/keyring/provider.o \
	src/keyring/provider_aws.o \
	src/keyring/provider_command.o \
	src/keyring/provider_file.o \
	src/keyring/providers.o \
	src/keyring/refresher.o \
	src/keyring/secret.o \
	src/keyring/shared.o \
	src/keyring/shared_ask.o \
	src/keyring/shared_end.o \
	src/keyring/shared_memory.o \
	src/keyring/small_file.o \
	src/keyring/stats.o \
	src/keyring/warn.o \
	src/functions/admin.o \
	src/functions/admin_record.o \
	src/functions/array.o \
	src/functions/audit.o \
	src/functions/bulk.o \
	src/functions/bulk_citus.o \
	src/functions/bulk_column.o \
	src/functions/bulk_convert.o \
	src/functions/bulk_progress.o \
	src/functions/bulk_rows.o \
	src/functions/bulk_run.o \
	src/functions/bulk_target.o \
	src/functions/bulk_trial.o \
	src/functions/bulk_trigger.o \
	src/functions/bulk_value.o \
	src/functions/bulk_write.o \
	src/functions/bulk_written.o \
	src/functions/call.o \
	src/functions/citus.o \
	src/functions/column.o \
	src/functions/coverage.o \
	src/functions/coverage_count.o \
	src/functions/coverage_hint.o \
	src/functions/coverage_look.o \
	src/functions/coverage_match.o \
	src/functions/coverage_nodes.o \
	src/functions/coverage_pair.o \
	src/functions/coverage_table.o \
	src/functions/coverage_verdict.o \
	src/functions/coverage_where.o \
	src/functions/create_view.o \
	src/functions/create_view_check.o \
	src/functions/create_view_columns.o \
	src/functions/create_view_query.o \
	src/functions/create_view_replace.o \
	src/functions/dump.o \
	src/functions/dump_check.o \
	src/functions/dump_columns.o \
	src/functions/dump_guard.o \
	src/functions/dump_labels.o \
	src/functions/dump_planner.o \
	src/functions/dump_settings.o \
	src/functions/dump_value.o \
	src/functions/is_pseudonym.o \
	src/functions/json.o \
	src/functions/json_walk.o \
	src/functions/label.o \
	src/functions/limits.o \
	src/functions/lookup.o \
	src/functions/open.o \
	src/functions/pinned.o \
	src/functions/protect.o \
	src/functions/pseudonymize.o \
	src/functions/record.o \
	src/functions/reidentify.o \
	src/functions/replica.o \
	src/functions/repseudonymize.o \
	src/functions/reseal.o \
	src/functions/role.o \
	src/functions/seal.o \
	src/functions/spelling.o \
	src/functions/stats.o \
	src/functions/stored.o \
	src/functions/subtransaction.o \
	src/functions/support.o \
	src/functions/trigger.o \
	src/functions/trigger_arguments.o \
	src/functions/trigger_rows.o \
	src/functions/trigger_state.o \
	src/functions/unique.o \
	src/functions/unique_constraints.o \
	src/functions/unique_entry.o \
	src/functions/unique_keys.o \
	src/functions/upsert.o \
	src/functions/watch.o

REGRESS = setup pseudo service arguments malformed document options rights rotation batches large \
	labels coverage plans views attacks create_view create_view_attacks repseudonymize trigger trigger_attacks trigger_messages trigger_values protect citus lookup bulk bulk_refused bulk_labels dump dump_foreign unique json_values objects teardown
REGRESS_OPTS = --inputdir=$(srcdir)/test
ENCODING = UTF8
NO_LOCALE = 1
TAP_TESTS = 1
PROVE_TESTS = test/t/*.pl

EXTRA_CLEAN = build tmp_check log results

# OpenSSL: AES where no processor instructions apply, SHA-256, randomness.
SHLIB_LINK = -lcrypto

# Only what is marked PGDLLEXPORT can be seen from outside; PostgreSQL 15 would export everything.
PG_CPPFLAGS = -DPSEUDO_VERSION='"$(EXTVERSION)"' -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -fvisibility=hidden

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(OBJS) $(OBJS:.o=.bc): $(wildcard $(source)src/*.h $(source)src/*/*.h) pseudo.control

# A build in another folder needs folders there.
ifneq ($(srcdir),.)
$(shell mkdir -p $(sort $(dir $(OBJS)) src/aws))
endif

# PGXS builds one module, and this is the other: the provider aws, which alone needs libcurl; WITH_AWS=no leaves it out.
WITH_AWS ?= yes
ifneq ($(WITH_AWS),no)
all: all-aws
install: install-aws
endif
clean: clean-aws
uninstall: uninstall-aws
install-aws: all-aws
.PHONY: all-aws install-aws clean-aws uninstall-aws
all-aws install-aws clean-aws uninstall-aws:
	$(MAKE) -C src/aws $(if $(filter-out . ./,$(srcdir)),-f '$(abspath $(source)src/aws/Makefile)') \
		VPATH=$(if $(filter-out . ./,$(srcdir)),'$(abspath $(source)src/aws)') PG_CONFIG='$(PG_CONFIG)' $(@:-aws=)

# The pages in a folder of their own, with each other where their links lead.
pages = '$(DESTDIR)$(docdir)/extension/pseudo'
install: install-doc
uninstall: uninstall-doc
.PHONY: install-doc uninstall-doc
install-doc:
	$(MKDIR_P) $(pages)/doc
	$(INSTALL_DATA) $(addprefix $(srcdir)/,README.md CHANGELOG.md) $(pages)/
	$(INSTALL_DATA) $(wildcard $(source)doc/*.md $(source)doc/*.svg) $(pages)/doc/
uninstall-doc:
	rm -rf $(pages)

# The client program, beside pg_dump.
install: install-program
uninstall: uninstall-program
.PHONY: install-program uninstall-program
install-program:
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_SCRIPT) $(srcdir)/bin/pseudo_dump '$(DESTDIR)$(bindir)/'
uninstall-program:
	rm -f '$(DESTDIR)$(bindir)/pseudo_dump'

# What PGXN and packagers take, from what is committed.
DISTNAME = pseudo-$(EXTVERSION)
.PHONY: dist
dist:
	$(MKDIR_P) build
	git -C '$(source)' archive --prefix=$(DISTNAME)/ -o '$(CURDIR)/build/$(DISTNAME).zip' HEAD
	git -C '$(source)' archive --prefix=$(DISTNAME)/ -o '$(CURDIR)/build/$(DISTNAME).tar.gz' HEAD

# The core on its own, without PostgreSQL: see test/unit/Makefile.
.PHONY: vectors unit bench bench-count
vectors unit bench bench-count:
	$(MAKE) -C test/unit $(patsubst unit,check,$(patsubst vectors,run-vectors,$@))
