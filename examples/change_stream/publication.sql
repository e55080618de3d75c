-- customers: a trigger makes pseudonyms.  members: the source stays, its pseudonyms are in another column.
CREATE TABLE customers (id int PRIMARY KEY, email text);
CREATE TABLE members (id int PRIMARY KEY, email text, email_p text);
SELECT FROM pseudo.pseudo_keyrings;		-- loads the library, for SECURITY LABEL
SECURITY LABEL FOR pseudo ON COLUMN customers.email IS 'deterministic';
SECURITY LABEL FOR pseudo ON COLUMN members.email IS 'deterministic, into=email_p';
SELECT * FROM pseudo.pseudo_protect('customers');
SELECT * FROM pseudo.pseudo_protect('members');

-- What consumers get: of members not the source.
CREATE PUBLICATION consumers FOR TABLE customers, members (id, email_p);
