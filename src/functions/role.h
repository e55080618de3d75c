/*
 * role.h
 *		Whose rights a call works with: the type pseudo_role.
 *
 * A pseudo_role is the OID of a role, and 0 for 'current_user'.  To read one from its
 * text is the permission check: only the role itself and superusers can.  A
 * view keeps what was read when it was created, and so stands for its author.
 */
#ifndef PSEUDO_ROLE_H
#define PSEUDO_ROLE_H

#include "postgres.h"

#include "nodes/primnodes.h"

typedef struct PseudoRole
{
	Oid			oid;			/* InvalidOid: the current user */
	bool		is_stored;		/* read from a stored expression; else the
								 * current user must be this role */
} PseudoRole;

/*
 * What the planner says of a role, as the type modifier of its constant: the parser makes -1 only, the type
 * takes no modifier, and parallel workers get it.
 */
#define PSEUDO_ROLE_OF_STATEMENT	(-2)
#define PSEUDO_ROLE_STORED	(-3)

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

/*
 * A name of a role as pseudo_role_in() takes it, as a literal in a definition shows it, palloc'ed.
 * Errors: those of pseudo_role_in().
 */
extern char *pseudo_role_literal(char *name);

/*
 * Returns true if a call has a place in a statement and its role has none.  Such roles come from constant
 * folding, and from views.
 */
extern bool pseudo_role_is_smuggled(const FuncExpr *call, const Const *role);

/* Report a first argument that does not stand in the call itself as a literal.  Errors: 0A000. */
extern void pseudo_role_report_not_literal(void) __attribute__((noreturn));

#endif							/* PSEUDO_ROLE_H */
