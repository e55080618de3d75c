/*
 * agent.h
 *		Reading the secret through the AWS Secrets Manager Agent, one cache for a host.
 */
#ifndef PSEUDO_AWS_AGENT_H
#define PSEUDO_AWS_AGENT_H

#include "postgres.h"

#include "secret.h"

/* Read the secret through the agent of option "agent"; as pseudo_aws_get_secret(). */
extern bool pseudo_aws_ask_agent(PseudoAws *aws, PseudoAwsSecret *secret);

#endif							/* PSEUDO_AWS_AGENT_H */
