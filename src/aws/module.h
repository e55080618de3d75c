/*
 * module.h
 *		What the provider does: see provider.h.
 */
#ifndef PSEUDO_AWS_MODULE_H
#define PSEUDO_AWS_MODULE_H

#include "postgres.h"

#include "../keyring/provider.h"

/* Load the document. */
extern PseudoDocument pseudo_aws_load(const PseudoOptions *options, char **version,
									  PseudoFailure *failure);

/* Change the document. */
extern PseudoDocument pseudo_aws_store(const PseudoOptions *options,
									   PseudoDocument (*change) (const PseudoDocument *old, void *arg),
									   void *arg, char **version);

/* Random bytes from KMS, by the key of option "kms_key_id"; false where there is none. */
extern bool pseudo_aws_random(const PseudoOptions *options, uint8 *out, Size len);

#endif							/* PSEUDO_AWS_MODULE_H */
