/*
 * errors.h
 *		What went wrong with a question to AWS, as a failure of PostgreSQL's kind.
 */
#ifndef PSEUDO_AWS_ERRORS_H
#define PSEUDO_AWS_ERRORS_H

#include "postgres.h"

#include "exchange.h"

/*
 * Read x->error from an answer whose status is not 200, fill in aws->failure, and
 * say what kind it is.
 */
extern PseudoAwsErrorKind pseudo_aws_judge_error(PseudoAws *aws, PseudoAwsExchange *x);

/* Fill in aws->failure for a question without an answer.  Returns whether another attempt may help. */
extern bool pseudo_aws_judge_silence(PseudoAws *aws, const PseudoAwsExchange *x);

/* Fill in aws->failure for an answer that is not what it should be.  Returns false. */
extern bool pseudo_aws_fail_answer(PseudoAws *aws, const PseudoAwsExchange *x, const char *fault);

/* Seconds that AWS's clock, by the answer's Date header, is ahead of ours; false: no such header. */
extern bool pseudo_aws_clock_skew(const PseudoAwsExchange *x, int64 *skew);

#endif							/* PSEUDO_AWS_ERRORS_H */
