/*
 * service.h
 *		A call of Secrets Manager or KMS: settings, region, credentials, and the exchange.
 */
#ifndef PSEUDO_AWS_SERVICE_H
#define PSEUDO_AWS_SERVICE_H

#include "postgres.h"

#include "exchange.h"

/*
 * Begin a load, change or call: a context beneath the current one, an arena in it, the time of
 * option "timeout".  The caller deletes aws->context.
 */
extern void pseudo_aws_begin(PseudoAws *aws, const PseudoOptions *options, PseudoFailure *failure);

/* Report aws->failure as an error; with this hint, where it is not NULL, in the place of its own. */
extern void pseudo_aws_report(const PseudoAws *aws, const char *hint) __attribute__((noreturn));

/*
 * Call an action of Secrets Manager or KMS (JSON 1.1) by pseudo_aws_exchange().
 * body is JSON, len bytes, in the arena where it is secret.  Returns the answer's object; or NULL with aws->failure filled in, and
 * *error where AWS answered with one (else error->code is NULL).  error may be NULL.
 */
extern PseudoJson *pseudo_aws_call(PseudoAws *aws, PseudoAwsService service, const char *action,
								   const char *body, Size len, PseudoAwsError *error);

#endif							/* PSEUDO_AWS_SERVICE_H */
