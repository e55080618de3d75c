/*
 * pseudo_role.h
 *		Whose rights a call works with: the type pseudo_role.
 *
 * A pseudo_role is the OID of a role, and 0 for 'current_user'.  To read one from its
 * text is the permission check: only the role itself and superusers can.  A
 * view keeps what was read when it was created, and so stands for its author.
 */
#ifndef PSEUDO_ROLE_H
#define PSEUDO_ROLE_H

#include "postgres.h"

#include "nodes/nodes.h"

typedef struct PseudoRole
{
	Oid			oid;			/* InvalidOid: the current user */
	bool		of_statement;	/* written in a statement, not read from a stored
								 * expression: the current user must be this role */
} PseudoRole;

/*
 * The role in the first argument of a call, by its expression.
 * Errors: 0A000 where that is no constant, 22004 where it is NULL.
 */
extern PseudoRole pseudo_role_of_call(Node *expr);

/*
 * The role whose rights a call needs now.
 * Errors: 42704 where the role is gone, 42501 where the current user may not name it.
 */
extern Oid	pseudo_role_check(const PseudoRole *role);

#endif							/* PSEUDO_ROLE_H */
