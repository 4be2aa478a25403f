CREATE TABLE "_migration" (
  "version" INTEGER PRIMARY KEY,
  "name" TEXT NOT NULL,
  "applied_at" TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
) STRICT;

CREATE TABLE "_meta" (
  "one" INTEGER PRIMARY KEY CHECK ("one" = 1),
  "epoch" INTEGER NOT NULL,
  "txn" INTEGER NOT NULL,
  "trimmed" INTEGER NOT NULL
) STRICT;

INSERT INTO "_meta" ("one", "epoch", "txn", "trimmed") VALUES (1, 0, 0, 0);

CREATE TABLE "_outbox" (
  "seq" INTEGER PRIMARY KEY AUTOINCREMENT,
  "txn" INTEGER NOT NULL,
  "table" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "row" TEXT
) STRICT;

CREATE TRIGGER "_outbox.after.delete" AFTER DELETE ON "_outbox" BEGIN
  UPDATE "_meta" SET "trimmed" = OLD."seq" WHERE "trimmed" < OLD."seq";
END;

CREATE VIEW "_inet" ("value") AS SELECT NULL WHERE 0;

CREATE VIEW "_cidr" ("value") AS SELECT NULL WHERE 0;

CREATE VIEW "_inside" ("address", "range") AS SELECT NULL, NULL WHERE 0;

CREATE TRIGGER "_inet.insert" INSTEAD OF INSERT ON "_inet" BEGIN
  SELECT RAISE(ABORT, 'not an address in its shortest form, as 10.0.0.1, 10.0.0.1/24 or fd00::1/64 [inet]')
  WHERE NEW."value" IS NOT NULL AND NOT EXISTS (
    WITH slashed AS MATERIALIZED (
      SELECT CASE WHEN instr(v, '/') THEN substr(v, 1, instr(v, '/') - 1) ELSE v END AS a,
        CASE WHEN instr(v, '/') THEN substr(v, instr(v, '/') + 1) END AS p
      FROM (SELECT NEW."value" AS v)
    ),
    parted AS MATERIALIZED (
      SELECT a, p, trim(replace(a, '::', ':*:'), ':') AS b,
        CASE WHEN instr(a, ':') = 0 THEN a WHEN a GLOB '::ffff:*.*' THEN substr(a, 8) END AS four
      FROM slashed
    ),
    listed AS MATERIALIZED (
      SELECT a, p, four, CASE
        WHEN four IS NOT NULL THEN '[' || replace(four, '.', ',') || ']'
        ELSE '["' || replace(replace(b, '*',
          substr('0:0:0:0:0:0:0:0', 1, 15 - 2 * (length(b) - length(replace(b, ':', ''))))), ':', '","') || '"]'
      END AS j FROM parted
    ),
    hexed AS MATERIALIZED (
      SELECT a, p, four, j, CASE
        WHEN NOT json_valid(j) THEN NULL
        WHEN four = a THEN printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        WHEN four IS NOT NULL THEN '00000000000000000000ffff' || printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        ELSE substr('0000' || json_extract(j, '$[0]'), -4) || substr('0000' || json_extract(j, '$[1]'), -4) || substr('0000' || json_extract(j, '$[2]'), -4) || substr('0000' || json_extract(j, '$[3]'), -4) || substr('0000' || json_extract(j, '$[4]'), -4) || substr('0000' || json_extract(j, '$[5]'), -4) || substr('0000' || json_extract(j, '$[6]'), -4) || substr('0000' || json_extract(j, '$[7]'), -4)
      END AS h FROM listed
    ),
    spelt AS MATERIALIZED (
      SELECT a, p, four, h, ':' || ifnull(nullif(ltrim(substr(h, 1, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 5, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 9, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 13, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 17, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 21, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 25, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 29, 4), '0'), ''), '0') || ':' AS s FROM hexed
      WHERE h NOT GLOB '*[^0-9a-f]*' AND length(h) = CASE WHEN a = four THEN 8 ELSE 32 END
    ),
    squeezed AS MATERIALIZED (SELECT a, p, four, h, CASE
        WHEN instr(s, ':0:0:0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:0:0:') + 17)
        WHEN instr(s, ':0:0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:0:') + 15)
        WHEN instr(s, ':0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:') + 13)
        WHEN instr(s, ':0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:') + 11)
        WHEN instr(s, ':0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:') + 9)
        WHEN instr(s, ':0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:') + 7)
        WHEN instr(s, ':0:0:') THEN substr(s, 1, instr(s, ':0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:') + 5)
        ELSE s END AS s FROM spelt),
    shown AS MATERIALIZED (
      SELECT a, p, h, CASE
        WHEN four = a THEN (((instr('0123456789abcdef', substr(h, -8, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -7, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -6, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -5, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -4, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -3, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -2, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -1, 1)) - 1))
        WHEN four IS NOT NULL THEN '::ffff:' || (((instr('0123456789abcdef', substr(h, -8, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -7, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -6, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -5, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -4, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -3, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -2, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -1, 1)) - 1))
        WHEN h NOT GLOB '00000000000000000000ffff*' THEN substr(s, CASE WHEN s GLOB '::*' THEN 1 ELSE 2 END, length(s) - CASE WHEN s GLOB '::*' THEN 0 ELSE 1 END - CASE WHEN s GLOB '*::' THEN 0 ELSE 1 END)
      END AS t FROM squeezed
    )
    SELECT 1 FROM shown WHERE t = a AND (p IS NULL OR (p = CAST(CAST(p AS INTEGER) AS TEXT)
        AND CAST(p AS INTEGER) BETWEEN 0 AND length(h) * 4 - 1))
  );
END;

CREATE TRIGGER "_cidr.insert" INSTEAD OF INSERT ON "_cidr" BEGIN
  SELECT RAISE(ABORT, 'not an address range in its shortest form, as 10.0.0.0/24 or fd00::/64 [cidr]')
  WHERE NEW."value" IS NOT NULL AND NOT EXISTS (
    WITH slashed AS MATERIALIZED (
      SELECT CASE WHEN instr(v, '/') THEN substr(v, 1, instr(v, '/') - 1) ELSE v END AS a,
        CASE WHEN instr(v, '/') THEN substr(v, instr(v, '/') + 1) END AS p
      FROM (SELECT NEW."value" AS v)
    ),
    parted AS MATERIALIZED (
      SELECT a, p, trim(replace(a, '::', ':*:'), ':') AS b,
        CASE WHEN instr(a, ':') = 0 THEN a WHEN a GLOB '::ffff:*.*' THEN substr(a, 8) END AS four
      FROM slashed
    ),
    listed AS MATERIALIZED (
      SELECT a, p, four, CASE
        WHEN four IS NOT NULL THEN '[' || replace(four, '.', ',') || ']'
        ELSE '["' || replace(replace(b, '*',
          substr('0:0:0:0:0:0:0:0', 1, 15 - 2 * (length(b) - length(replace(b, ':', ''))))), ':', '","') || '"]'
      END AS j FROM parted
    ),
    hexed AS MATERIALIZED (
      SELECT a, p, four, j, CASE
        WHEN NOT json_valid(j) THEN NULL
        WHEN four = a THEN printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        WHEN four IS NOT NULL THEN '00000000000000000000ffff' || printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        ELSE substr('0000' || json_extract(j, '$[0]'), -4) || substr('0000' || json_extract(j, '$[1]'), -4) || substr('0000' || json_extract(j, '$[2]'), -4) || substr('0000' || json_extract(j, '$[3]'), -4) || substr('0000' || json_extract(j, '$[4]'), -4) || substr('0000' || json_extract(j, '$[5]'), -4) || substr('0000' || json_extract(j, '$[6]'), -4) || substr('0000' || json_extract(j, '$[7]'), -4)
      END AS h FROM listed
    ),
    spelt AS MATERIALIZED (
      SELECT a, p, four, h, ':' || ifnull(nullif(ltrim(substr(h, 1, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 5, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 9, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 13, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 17, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 21, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 25, 4), '0'), ''), '0') || ':' || ifnull(nullif(ltrim(substr(h, 29, 4), '0'), ''), '0') || ':' AS s FROM hexed
      WHERE h NOT GLOB '*[^0-9a-f]*' AND length(h) = CASE WHEN a = four THEN 8 ELSE 32 END
    ),
    squeezed AS MATERIALIZED (SELECT a, p, four, h, CASE
        WHEN instr(s, ':0:0:0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:0:0:') + 17)
        WHEN instr(s, ':0:0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:0:') + 15)
        WHEN instr(s, ':0:0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:0:') + 13)
        WHEN instr(s, ':0:0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:0:') + 11)
        WHEN instr(s, ':0:0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:0:') + 9)
        WHEN instr(s, ':0:0:0:') THEN substr(s, 1, instr(s, ':0:0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:0:') + 7)
        WHEN instr(s, ':0:0:') THEN substr(s, 1, instr(s, ':0:0:') - 1) || '::' || substr(s, instr(s, ':0:0:') + 5)
        ELSE s END AS s FROM spelt),
    shown AS MATERIALIZED (
      SELECT a, p, h, CASE
        WHEN four = a THEN (((instr('0123456789abcdef', substr(h, -8, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -7, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -6, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -5, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -4, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -3, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -2, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -1, 1)) - 1))
        WHEN four IS NOT NULL THEN '::ffff:' || (((instr('0123456789abcdef', substr(h, -8, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -7, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -6, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -5, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -4, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -3, 1)) - 1) || '.' || ((instr('0123456789abcdef', substr(h, -2, 1)) - 1) * 16 + instr('0123456789abcdef', substr(h, -1, 1)) - 1))
        WHEN h NOT GLOB '00000000000000000000ffff*' THEN substr(s, CASE WHEN s GLOB '::*' THEN 1 ELSE 2 END, length(s) - CASE WHEN s GLOB '::*' THEN 0 ELSE 1 END - CASE WHEN s GLOB '*::' THEN 0 ELSE 1 END)
      END AS t FROM squeezed
    )
    SELECT 1 FROM shown WHERE t = a AND (p = CAST(CAST(p AS INTEGER) AS TEXT) AND CAST(p AS INTEGER) BETWEEN 0 AND length(h) * 4
        AND (instr('0123456789abcdef', substr(h, p / 4 + 1, 1)) - 1) & (15 >> p % 4) = 0
        AND ltrim(substr(h, p / 4 + 2), '0') = '')
  );
END;

CREATE TRIGGER "_inside.insert" INSTEAD OF INSERT ON "_inside" BEGIN
  SELECT RAISE(ABORT, 'the address lies outside of its range [inside]')
  WHERE NOT EXISTS (
    WITH address_slashed AS MATERIALIZED (
      SELECT CASE WHEN instr(v, '/') THEN substr(v, 1, instr(v, '/') - 1) ELSE v END AS a,
        CASE WHEN instr(v, '/') THEN substr(v, instr(v, '/') + 1) END AS p
      FROM (SELECT NEW."address" AS v)
    ),
    address_parted AS MATERIALIZED (
      SELECT a, p, trim(replace(a, '::', ':*:'), ':') AS b,
        CASE WHEN instr(a, ':') = 0 THEN a WHEN a GLOB '::ffff:*.*' THEN substr(a, 8) END AS four
      FROM address_slashed
    ),
    address_listed AS MATERIALIZED (
      SELECT a, p, four, CASE
        WHEN four IS NOT NULL THEN '[' || replace(four, '.', ',') || ']'
        ELSE '["' || replace(replace(b, '*',
          substr('0:0:0:0:0:0:0:0', 1, 15 - 2 * (length(b) - length(replace(b, ':', ''))))), ':', '","') || '"]'
      END AS j FROM address_parted
    ),
    address_hexed AS MATERIALIZED (
      SELECT a, p, four, j, CASE
        WHEN NOT json_valid(j) THEN NULL
        WHEN four = a THEN printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        WHEN four IS NOT NULL THEN '00000000000000000000ffff' || printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        ELSE substr('0000' || json_extract(j, '$[0]'), -4) || substr('0000' || json_extract(j, '$[1]'), -4) || substr('0000' || json_extract(j, '$[2]'), -4) || substr('0000' || json_extract(j, '$[3]'), -4) || substr('0000' || json_extract(j, '$[4]'), -4) || substr('0000' || json_extract(j, '$[5]'), -4) || substr('0000' || json_extract(j, '$[6]'), -4) || substr('0000' || json_extract(j, '$[7]'), -4)
      END AS h FROM address_listed
    ),
    range_slashed AS MATERIALIZED (
      SELECT CASE WHEN instr(v, '/') THEN substr(v, 1, instr(v, '/') - 1) ELSE v END AS a,
        CASE WHEN instr(v, '/') THEN substr(v, instr(v, '/') + 1) END AS p
      FROM (SELECT NEW."range" AS v)
    ),
    range_parted AS MATERIALIZED (
      SELECT a, p, trim(replace(a, '::', ':*:'), ':') AS b,
        CASE WHEN instr(a, ':') = 0 THEN a WHEN a GLOB '::ffff:*.*' THEN substr(a, 8) END AS four
      FROM range_slashed
    ),
    range_listed AS MATERIALIZED (
      SELECT a, p, four, CASE
        WHEN four IS NOT NULL THEN '[' || replace(four, '.', ',') || ']'
        ELSE '["' || replace(replace(b, '*',
          substr('0:0:0:0:0:0:0:0', 1, 15 - 2 * (length(b) - length(replace(b, ':', ''))))), ':', '","') || '"]'
      END AS j FROM range_parted
    ),
    range_hexed AS MATERIALIZED (
      SELECT a, p, four, j, CASE
        WHEN NOT json_valid(j) THEN NULL
        WHEN four = a THEN printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        WHEN four IS NOT NULL THEN '00000000000000000000ffff' || printf('%02x%02x%02x%02x', json_extract(j, '$[0]'), json_extract(j, '$[1]'), json_extract(j, '$[2]'), json_extract(j, '$[3]'))
        ELSE substr('0000' || json_extract(j, '$[0]'), -4) || substr('0000' || json_extract(j, '$[1]'), -4) || substr('0000' || json_extract(j, '$[2]'), -4) || substr('0000' || json_extract(j, '$[3]'), -4) || substr('0000' || json_extract(j, '$[4]'), -4) || substr('0000' || json_extract(j, '$[5]'), -4) || substr('0000' || json_extract(j, '$[6]'), -4) || substr('0000' || json_extract(j, '$[7]'), -4)
      END AS h FROM range_listed
    )
    SELECT 1 FROM address_hexed AS a, range_hexed AS r
    WHERE length(a.h) = length(r.h)
      AND substr(a.h, 1, r.p / 4) = substr(r.h, 1, r.p / 4)
      AND (instr('0123456789abcdef', substr(a.h, r.p / 4 + 1, 1)) - 1) >> (4 - r.p % 4)
        = (instr('0123456789abcdef', substr(r.h, r.p / 4 + 1, 1)) - 1) >> (4 - r.p % 4)
  );
END;

CREATE TABLE "user" (
  "email" TEXT NOT NULL CONSTRAINT "user.email: must be text [type user email]" CHECK (instr("email", char(0)) = 0),
  "data" TEXT NOT NULL DEFAULT '{}' CONSTRAINT "user.data: must be a JSON value [type user data]" CHECK (CASE WHEN json_valid("data") THEN json_type("data") <> 'null' ELSE 0 END),
  "alicorn" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "user.alicorn: must be `true` or `false` [type user alicorn]" CHECK ("alicorn" IN (0, 1)),
  PRIMARY KEY ("email")
) STRICT;

CREATE TRIGGER "user.before.insert" BEFORE INSERT ON "user" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'user.email: exists already [key user]') WHERE EXISTS (SELECT 1 FROM "user" WHERE "email" = NEW."email");
END;

CREATE TRIGGER "user.before.update" BEFORE UPDATE ON "user" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'user.email: cannot be changed [immutable user email]') WHERE OLD."email" IS NOT NEW."email";
END;

CREATE TRIGGER "user.before.delete" BEFORE DELETE ON "user" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "user.after.insert" AFTER INSERT ON "user" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'user', json_array(NEW."email"), json_object('email', NEW."email", 'data', NEW."data" || '', 'alicorn', NEW."alicorn") FROM "_meta";
END;

CREATE TRIGGER "user.after.update" AFTER UPDATE ON "user" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'user', json_array(NEW."email"), json_object('email', NEW."email", 'data', NEW."data" || '', 'alicorn', NEW."alicorn") FROM "_meta" WHERE OLD."email" IS NOT NEW."email" OR OLD."data" IS NOT NEW."data" OR OLD."alicorn" IS NOT NEW."alicorn";
END;

CREATE TRIGGER "user.after.delete" AFTER DELETE ON "user" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'user', json_array(OLD."email"), NULL FROM "_meta";
END;

CREATE TABLE "token_key" (
  "uuid" TEXT NOT NULL CONSTRAINT "token_key.uuid: must be a UUID [type token_key uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "secret" TEXT NOT NULL DEFAULT '' CONSTRAINT "token_key.secret: must be text [type token_key secret]" CHECK (instr("secret", char(0)) = 0),
  "created" INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY ("uuid")
) STRICT;

CREATE TRIGGER "token_key.before.insert" BEFORE INSERT ON "token_key" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'token_key.uuid: exists already [key token_key]') WHERE EXISTS (SELECT 1 FROM "token_key" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "token_key.before.update" BEFORE UPDATE ON "token_key" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'token_key.uuid: cannot be changed [immutable token_key uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "token_key.before.delete" BEFORE DELETE ON "token_key" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "token_key.after.insert" AFTER INSERT ON "token_key" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'token_key', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'secret', NEW."secret", 'created', NEW."created") FROM "_meta";
END;

CREATE TRIGGER "token_key.after.update" AFTER UPDATE ON "token_key" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'token_key', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'secret', NEW."secret", 'created', NEW."created") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."secret" IS NOT NEW."secret" OR OLD."created" IS NOT NEW."created";
END;

CREATE TRIGGER "token_key.after.delete" AFTER DELETE ON "token_key" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'token_key', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "tenant" (
  "uuid" TEXT NOT NULL CONSTRAINT "tenant.uuid: must be a UUID [type tenant uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "tenant.name: must be text [type tenant name]" CHECK (instr("name", char(0)) = 0),
  "approved" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "tenant.approved: must be `true` or `false` [type tenant approved]" CHECK ("approved" IN (0, 1)),
  PRIMARY KEY ("uuid")
) STRICT;

CREATE TRIGGER "tenant.before.insert" BEFORE INSERT ON "tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'tenant.uuid: exists already [key tenant]') WHERE EXISTS (SELECT 1 FROM "tenant" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "tenant.before.update" BEFORE UPDATE ON "tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'tenant.uuid: cannot be changed [immutable tenant uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "tenant.before.delete" BEFORE DELETE ON "tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "tenant.after.insert" AFTER INSERT ON "tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'tenant', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'approved', NEW."approved") FROM "_meta";
END;

CREATE TRIGGER "tenant.after.update" AFTER UPDATE ON "tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'tenant', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'approved', NEW."approved") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."name" IS NOT NEW."name" OR OLD."approved" IS NOT NEW."approved";
END;

CREATE TRIGGER "tenant.after.delete" AFTER DELETE ON "tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'tenant', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "member" (
  "uuid" TEXT NOT NULL CONSTRAINT "member.uuid: must be a UUID [type member uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "user" TEXT NOT NULL CONSTRAINT "member.user: must be text [type member user]" CHECK (instr("user", char(0)) = 0),
  "tenant" TEXT NOT NULL CONSTRAINT "member.tenant: must be a UUID [type member tenant]" CHECK ("tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "role" TEXT NOT NULL CONSTRAINT "member.role: must be one of `owner`, `admin`, `operator` [type member role]" CHECK ("role" IN ('owner', 'admin', 'operator')),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("user") REFERENCES "user" ("email") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "member.unique.0" ON "member" ("user", "tenant");

CREATE INDEX "member.reference.tenant" ON "member" ("tenant");

CREATE TRIGGER "member.before.insert" BEFORE INSERT ON "member" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'member.uuid: exists already [key member]') WHERE EXISTS (SELECT 1 FROM "member" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'member.user, member.tenant: exists already [unique member 0]') WHERE EXISTS (SELECT 1 FROM "member" WHERE "user" = NEW."user" AND "tenant" = NEW."tenant");
END;

CREATE TRIGGER "member.before.update" BEFORE UPDATE ON "member" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'member.uuid: cannot be changed [immutable member uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'member.user, member.tenant: exists already [unique member 0]') WHERE (OLD."user" IS NOT NEW."user" OR OLD."tenant" IS NOT NEW."tenant") AND EXISTS (SELECT 1 FROM "member" WHERE "user" = NEW."user" AND "tenant" = NEW."tenant");
END;

CREATE TRIGGER "member.before.delete" BEFORE DELETE ON "member" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "member.after.insert" AFTER INSERT ON "member" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'member', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'user', NEW."user", 'tenant', NEW."tenant", 'role', NEW."role") FROM "_meta";
END;

CREATE TRIGGER "member.after.update" AFTER UPDATE ON "member" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'member', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'user', NEW."user", 'tenant', NEW."tenant", 'role', NEW."role") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."user" IS NOT NEW."user" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."role" IS NOT NEW."role";
END;

CREATE TRIGGER "member.after.delete" AFTER DELETE ON "member" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'member', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "config" (
  "key" TEXT NOT NULL CONSTRAINT "config.key: must be text [type config key]" CHECK (instr("key", char(0)) = 0),
  "value" TEXT NOT NULL CONSTRAINT "config.value: must be a JSON value [type config value]" CHECK (CASE WHEN json_valid("value") THEN json_type("value") <> 'null' ELSE 0 END),
  PRIMARY KEY ("key")
) STRICT;

CREATE TRIGGER "config.before.insert" BEFORE INSERT ON "config" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'config.key: exists already [key config]') WHERE EXISTS (SELECT 1 FROM "config" WHERE "key" = NEW."key");
END;

CREATE TRIGGER "config.before.update" BEFORE UPDATE ON "config" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'config.key: cannot be changed [immutable config key]') WHERE OLD."key" IS NOT NEW."key";
END;

CREATE TRIGGER "config.before.delete" BEFORE DELETE ON "config" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "config.after.insert" AFTER INSERT ON "config" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'config', json_array(NEW."key"), json_object('key', NEW."key", 'value', NEW."value" || '') FROM "_meta";
END;

CREATE TRIGGER "config.after.update" AFTER UPDATE ON "config" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'config', json_array(NEW."key"), json_object('key', NEW."key", 'value', NEW."value" || '') FROM "_meta" WHERE OLD."key" IS NOT NEW."key" OR OLD."value" IS NOT NEW."value";
END;

CREATE TRIGGER "config.after.delete" AFTER DELETE ON "config" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'config', json_array(OLD."key"), NULL FROM "_meta";
END;

CREATE TABLE "host" (
  "uuid" TEXT NOT NULL CONSTRAINT "host.uuid: must be a UUID [type host uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "state" TEXT NOT NULL DEFAULT 'present' CONSTRAINT "host.state: must be one of `present`, `evacuated` [type host state]" CHECK ("state" IN ('present', 'evacuated')),
  "name" TEXT CONSTRAINT "host.name: must be text [type host name]" CHECK ("name" IS NULL OR instr("name", char(0)) = 0),
  "info" TEXT CONSTRAINT "host.info: must be text [type host info]" CHECK ("info" IS NULL OR instr("info", char(0)) = 0),
  "fencing" TEXT NOT NULL DEFAULT '{}' CONSTRAINT "host.fencing: must be a JSON value [type host fencing]" CHECK (CASE WHEN json_valid("fencing") THEN json_type("fencing") <> 'null' ELSE 0 END),
  "key" TEXT CONSTRAINT "host.key: must be text [type host key]" CHECK ("key" IS NULL OR instr("key", char(0)) = 0),
  PRIMARY KEY ("uuid")
) STRICT;

CREATE TRIGGER "host.before.insert" BEFORE INSERT ON "host" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host.uuid: exists already [key host]') WHERE EXISTS (SELECT 1 FROM "host" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "host.before.update" BEFORE UPDATE ON "host" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host.uuid: cannot be changed [immutable host uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "host.before.delete" BEFORE DELETE ON "host" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "host.after.insert" AFTER INSERT ON "host" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'state', NEW."state", 'name', NEW."name", 'info', NEW."info", 'fencing', NEW."fencing" || '', 'key', NEW."key") FROM "_meta";
END;

CREATE TRIGGER "host.after.update" AFTER UPDATE ON "host" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'state', NEW."state", 'name', NEW."name", 'info', NEW."info", 'fencing', NEW."fencing" || '', 'key', NEW."key") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."state" IS NOT NEW."state" OR OLD."name" IS NOT NEW."name" OR OLD."info" IS NOT NEW."info" OR OLD."fencing" IS NOT NEW."fencing" OR OLD."key" IS NOT NEW."key";
END;

CREATE TRIGGER "host.after.delete" AFTER DELETE ON "host" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "cpu_profile" (
  "uuid" TEXT NOT NULL CONSTRAINT "cpu_profile.uuid: must be a UUID [type cpu_profile uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "cpu_profile.name: must be text [type cpu_profile name]" CHECK (instr("name", char(0)) = 0),
  "model" TEXT NOT NULL CONSTRAINT "cpu_profile.model: must be text [type cpu_profile model]" CHECK (instr("model", char(0)) = 0),
  "features" TEXT NOT NULL DEFAULT '[]' CONSTRAINT "cpu_profile.features: must be a list, each item text [type cpu_profile features]" CHECK (CASE WHEN json_valid("features") THEN json_type("features") = 'array' ELSE 0 END),
  PRIMARY KEY ("uuid")
) STRICT;

CREATE TRIGGER "cpu_profile.before.insert" BEFORE INSERT ON "cpu_profile" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'cpu_profile.uuid: exists already [key cpu_profile]') WHERE EXISTS (SELECT 1 FROM "cpu_profile" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "cpu_profile.before.update" BEFORE UPDATE ON "cpu_profile" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'cpu_profile.uuid: cannot be changed [immutable cpu_profile uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "cpu_profile.before.delete" BEFORE DELETE ON "cpu_profile" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "cpu_profile.after.insert" AFTER INSERT ON "cpu_profile" BEGIN
  SELECT RAISE(ABORT, 'cpu_profile.features: must be a list, each item text [type cpu_profile features]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."features") WHERE NOT ("type" = 'text'));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'cpu_profile', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'model', NEW."model", 'features', NEW."features" || '') FROM "_meta";
END;

CREATE TRIGGER "cpu_profile.after.update" AFTER UPDATE ON "cpu_profile" BEGIN
  SELECT RAISE(ABORT, 'cpu_profile.features: must be a list, each item text [type cpu_profile features]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."features") WHERE NOT ("type" = 'text'));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'cpu_profile', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'model', NEW."model", 'features', NEW."features" || '') FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."name" IS NOT NEW."name" OR OLD."model" IS NOT NEW."model" OR OLD."features" IS NOT NEW."features";
END;

CREATE TRIGGER "cpu_profile.after.delete" AFTER DELETE ON "cpu_profile" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'cpu_profile', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "bond" (
  "uuid" TEXT NOT NULL CONSTRAINT "bond.uuid: must be a UUID [type bond uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "host" TEXT NOT NULL CONSTRAINT "bond.host: must be a UUID [type bond host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "mode" TEXT NOT NULL DEFAULT 'active-backup' CONSTRAINT "bond.mode: must be one of `active-backup`, `802.3ad` [type bond mode]" CHECK ("mode" IN ('active-backup', '802.3ad')),
  "lacp_rate" TEXT CONSTRAINT "bond.lacp_rate: must be one of `slow`, `fast` [type bond lacp_rate]" CHECK ("lacp_rate" IS NULL OR "lacp_rate" IN ('slow', 'fast')),
  "xmit_hash_policy" TEXT CONSTRAINT "bond.xmit_hash_policy: must be one of `layer2`, `layer2+3`, `layer3+4` [type bond xmit_hash_policy]" CHECK ("xmit_hash_policy" IS NULL OR "xmit_hash_policy" IN ('layer2', 'layer2+3', 'layer3+4')),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "bond.reference.host" ON "bond" ("host");

CREATE TRIGGER "bond.before.insert" BEFORE INSERT ON "bond" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'bond.uuid: exists already [key bond]') WHERE EXISTS (SELECT 1 FROM "bond" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "bond.before.update" BEFORE UPDATE ON "bond" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'bond.uuid: cannot be changed [immutable bond uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "bond.before.delete" BEFORE DELETE ON "bond" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "bond.after.insert" AFTER INSERT ON "bond" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'bond', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'host', NEW."host", 'mode', NEW."mode", 'lacp_rate', NEW."lacp_rate", 'xmit_hash_policy', NEW."xmit_hash_policy") FROM "_meta";
END;

CREATE TRIGGER "bond.after.update" AFTER UPDATE ON "bond" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'bond', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'host', NEW."host", 'mode', NEW."mode", 'lacp_rate', NEW."lacp_rate", 'xmit_hash_policy', NEW."xmit_hash_policy") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."host" IS NOT NEW."host" OR OLD."mode" IS NOT NEW."mode" OR OLD."lacp_rate" IS NOT NEW."lacp_rate" OR OLD."xmit_hash_policy" IS NOT NEW."xmit_hash_policy";
END;

CREATE TRIGGER "bond.after.delete" AFTER DELETE ON "bond" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'bond', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "nic" (
  "hwaddr" TEXT NOT NULL CONSTRAINT "nic.hwaddr: must be a MAC address like `52:54:00:12:34:56` [type nic hwaddr]" CHECK ("hwaddr" GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'),
  "host" TEXT NOT NULL CONSTRAINT "nic.host: must be a UUID [type nic host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "bond" TEXT CONSTRAINT "nic.bond: must be a UUID [type nic bond]" CHECK ("bond" IS NULL OR "bond" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("hwaddr"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("bond") REFERENCES "bond" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "nic.reference.host" ON "nic" ("host");

CREATE INDEX "nic.reference.bond" ON "nic" ("bond");

CREATE TRIGGER "nic.before.insert" BEFORE INSERT ON "nic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'nic.hwaddr: exists already [key nic]') WHERE EXISTS (SELECT 1 FROM "nic" WHERE "hwaddr" = NEW."hwaddr");
END;

CREATE TRIGGER "nic.before.update" BEFORE UPDATE ON "nic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'nic.hwaddr: cannot be changed [immutable nic hwaddr]') WHERE OLD."hwaddr" IS NOT NEW."hwaddr";
END;

CREATE TRIGGER "nic.before.delete" BEFORE DELETE ON "nic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "nic.after.insert" AFTER INSERT ON "nic" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'nic', json_array(NEW."hwaddr"), json_object('hwaddr', NEW."hwaddr", 'host', NEW."host", 'bond', NEW."bond") FROM "_meta";
END;

CREATE TRIGGER "nic.after.update" AFTER UPDATE ON "nic" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'nic', json_array(NEW."hwaddr"), json_object('hwaddr', NEW."hwaddr", 'host', NEW."host", 'bond', NEW."bond") FROM "_meta" WHERE OLD."hwaddr" IS NOT NEW."hwaddr" OR OLD."host" IS NOT NEW."host" OR OLD."bond" IS NOT NEW."bond";
END;

CREATE TRIGGER "nic.after.delete" AFTER DELETE ON "nic" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'nic', json_array(OLD."hwaddr"), NULL FROM "_meta";
END;

CREATE TABLE "vlan" (
  "bond" TEXT NOT NULL CONSTRAINT "vlan.bond: must be a UUID [type vlan bond]" CHECK ("bond" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tag" INTEGER NOT NULL,
  PRIMARY KEY ("bond", "tag"),
  FOREIGN KEY ("bond") REFERENCES "bond" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "vlan: tag must be 1 to 4094 [check vlan 0]" CHECK ("tag" BETWEEN 1 AND 4094)
) STRICT;

CREATE TRIGGER "vlan.before.insert" BEFORE INSERT ON "vlan" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vlan.bond, vlan.tag: exists already [key vlan]') WHERE EXISTS (SELECT 1 FROM "vlan" WHERE "bond" = NEW."bond" AND "tag" = NEW."tag");
END;

CREATE TRIGGER "vlan.before.update" BEFORE UPDATE ON "vlan" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vlan.bond: cannot be changed [immutable vlan bond]') WHERE OLD."bond" IS NOT NEW."bond";
  SELECT RAISE(ABORT, 'vlan.tag: cannot be changed [immutable vlan tag]') WHERE OLD."tag" IS NOT NEW."tag";
END;

CREATE TRIGGER "vlan.before.delete" BEFORE DELETE ON "vlan" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "vlan.after.insert" AFTER INSERT ON "vlan" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vlan', json_array(NEW."bond", NEW."tag"), json_object('bond', NEW."bond", 'tag', NEW."tag") FROM "_meta";
END;

CREATE TRIGGER "vlan.after.update" AFTER UPDATE ON "vlan" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vlan', json_array(NEW."bond", NEW."tag"), json_object('bond', NEW."bond", 'tag', NEW."tag") FROM "_meta" WHERE OLD."bond" IS NOT NEW."bond" OR OLD."tag" IS NOT NEW."tag";
END;

CREATE TRIGGER "vlan.after.delete" AFTER DELETE ON "vlan" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vlan', json_array(OLD."bond", OLD."tag"), NULL FROM "_meta";
END;

CREATE TABLE "net_role" (
  "uuid" TEXT NOT NULL CONSTRAINT "net_role.uuid: must be a UUID [type net_role uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "bond" TEXT NOT NULL CONSTRAINT "net_role.bond: must be a UUID [type net_role bond]" CHECK ("bond" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "vlan_id" INTEGER,
  "role" TEXT NOT NULL CONSTRAINT "net_role.role: must be one of `management`, `core`, `virtual`, `storage`, `public` [type net_role role]" CHECK ("role" IN ('management', 'core', 'virtual', 'storage', 'public')),
  "address" TEXT,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("bond") REFERENCES "bond" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "net_role: vlan_id must be 1 to 4094 [check net_role 1]" CHECK ("vlan_id" IS NULL OR "vlan_id" BETWEEN 1 AND 4094)
) STRICT;

CREATE UNIQUE INDEX "net_role.unique.0" ON "net_role" (ifnull("bond", x''), ifnull("vlan_id", x''), ifnull("role", x''));

CREATE INDEX "net_role.reference.bond" ON "net_role" ("bond");

CREATE TRIGGER "net_role.before.insert" BEFORE INSERT ON "net_role" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'net_role.uuid: exists already [key net_role]') WHERE EXISTS (SELECT 1 FROM "net_role" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'net_role.bond, net_role.vlan_id, net_role.role: exists already [unique net_role 0]') WHERE EXISTS (SELECT 1 FROM "net_role" WHERE ifnull("bond", x'') = ifnull(NEW."bond", x'') AND ifnull("vlan_id", x'') = ifnull(NEW."vlan_id", x'') AND ifnull("role", x'') = ifnull(NEW."role", x''));
END;

CREATE TRIGGER "net_role.before.update" BEFORE UPDATE ON "net_role" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'net_role.uuid: cannot be changed [immutable net_role uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'net_role.bond, net_role.vlan_id, net_role.role: exists already [unique net_role 0]') WHERE (OLD."bond" IS NOT NEW."bond" OR OLD."vlan_id" IS NOT NEW."vlan_id" OR OLD."role" IS NOT NEW."role") AND EXISTS (SELECT 1 FROM "net_role" WHERE ifnull("bond", x'') = ifnull(NEW."bond", x'') AND ifnull("vlan_id", x'') = ifnull(NEW."vlan_id", x'') AND ifnull("role", x'') = ifnull(NEW."role", x''));
END;

CREATE TRIGGER "net_role.before.delete" BEFORE DELETE ON "net_role" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "net_role.after.insert" AFTER INSERT ON "net_role" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."address";
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'net_role', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'bond', NEW."bond", 'vlan_id', NEW."vlan_id", 'role', NEW."role", 'address', NEW."address") FROM "_meta";
END;

CREATE TRIGGER "net_role.after.update" AFTER UPDATE ON "net_role" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."address" WHERE NEW."address" IS NOT OLD."address";
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'net_role', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'bond', NEW."bond", 'vlan_id', NEW."vlan_id", 'role', NEW."role", 'address', NEW."address") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."bond" IS NOT NEW."bond" OR OLD."vlan_id" IS NOT NEW."vlan_id" OR OLD."role" IS NOT NEW."role" OR OLD."address" IS NOT NEW."address";
END;

CREATE TRIGGER "net_role.after.delete" AFTER DELETE ON "net_role" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'net_role', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "storage_pool" (
  "uuid" TEXT NOT NULL CONSTRAINT "storage_pool.uuid: must be a UUID [type storage_pool uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "type" TEXT NOT NULL CONSTRAINT "storage_pool.type: must be one of `dir`, `btrfs`, `lvm`, `plvm`, `iscsi`, `fc`, `nfs`, `rbd`, `sheepdog`, `glusterfs`, `zfs` [type storage_pool type]" CHECK ("type" IN ('dir', 'btrfs', 'lvm', 'plvm', 'iscsi', 'fc', 'nfs', 'rbd', 'sheepdog', 'glusterfs', 'zfs')),
  "name" TEXT NOT NULL CONSTRAINT "storage_pool.name: must be text [type storage_pool name]" CHECK (instr("name", char(0)) = 0),
  "host" TEXT CONSTRAINT "storage_pool.host: must be a UUID [type storage_pool host]" CHECK ("host" IS NULL OR "host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "config" TEXT NOT NULL DEFAULT '{}' CONSTRAINT "storage_pool.config: must be a JSON value [type storage_pool config]" CHECK (CASE WHEN json_valid("config") THEN json_type("config") <> 'null' ELSE 0 END),
  "shareable" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "storage_pool.shareable: must be `true` or `false` [type storage_pool shareable]" CHECK ("shareable" IN (0, 1)),
  "size" INTEGER,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "storage_pool: size must be 1 to 8796093022207 [check storage_pool 0]" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 8796093022207)
) STRICT;

CREATE INDEX "storage_pool.reference.host" ON "storage_pool" ("host");

CREATE TRIGGER "storage_pool.before.insert" BEFORE INSERT ON "storage_pool" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'storage_pool.uuid: exists already [key storage_pool]') WHERE EXISTS (SELECT 1 FROM "storage_pool" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "storage_pool.before.update" BEFORE UPDATE ON "storage_pool" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'storage_pool.uuid: cannot be changed [immutable storage_pool uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'storage_pool.type: cannot be changed [immutable storage_pool type]') WHERE OLD."type" IS NOT NEW."type";
END;

CREATE TRIGGER "storage_pool.before.delete" BEFORE DELETE ON "storage_pool" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "storage_pool.after.insert" AFTER INSERT ON "storage_pool" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'storage_pool', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'type', NEW."type", 'name', NEW."name", 'host', NEW."host", 'config', NEW."config" || '', 'shareable', NEW."shareable", 'size', NEW."size") FROM "_meta";
END;

CREATE TRIGGER "storage_pool.after.update" AFTER UPDATE ON "storage_pool" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'storage_pool', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'type', NEW."type", 'name', NEW."name", 'host', NEW."host", 'config', NEW."config" || '', 'shareable', NEW."shareable", 'size', NEW."size") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."type" IS NOT NEW."type" OR OLD."name" IS NOT NEW."name" OR OLD."host" IS NOT NEW."host" OR OLD."config" IS NOT NEW."config" OR OLD."shareable" IS NOT NEW."shareable" OR OLD."size" IS NOT NEW."size";
END;

CREATE TRIGGER "storage_pool.after.delete" AFTER DELETE ON "storage_pool" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'storage_pool', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "disk" (
  "id" TEXT NOT NULL CONSTRAINT "disk.id: must be text [type disk id]" CHECK (instr("id", char(0)) = 0),
  "type" TEXT NOT NULL CONSTRAINT "disk.type: must be one of `local`, `fc`, `iscsi` [type disk type]" CHECK ("type" IN ('local', 'fc', 'iscsi')),
  "targets" TEXT CONSTRAINT "disk.targets: must be a list, each item text [type disk targets]" CHECK ("targets" IS NULL OR CASE WHEN json_valid("targets") THEN json_type("targets") = 'array' ELSE 0 END),
  "storage_pool" TEXT CONSTRAINT "disk.storage_pool: must be a UUID [type disk storage_pool]" CHECK ("storage_pool" IS NULL OR "storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "host" TEXT CONSTRAINT "disk.host: must be a UUID [type disk host]" CHECK ("host" IS NULL OR "host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "size" INTEGER,
  PRIMARY KEY ("id"),
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "disk: targets are for fc and iscsi disks only [check disk 0]" CHECK ("type" <> 'local' OR "targets" IS NULL),
  CONSTRAINT "disk: size must be 1 to 8796093022207 [check disk 1]" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 8796093022207)
) STRICT;

CREATE INDEX "disk.reference.storage_pool" ON "disk" ("storage_pool");

CREATE INDEX "disk.reference.host" ON "disk" ("host");

CREATE TRIGGER "disk.before.insert" BEFORE INSERT ON "disk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'disk.id: exists already [key disk]') WHERE EXISTS (SELECT 1 FROM "disk" WHERE "id" = NEW."id");
END;

CREATE TRIGGER "disk.before.update" BEFORE UPDATE ON "disk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'disk.id: cannot be changed [immutable disk id]') WHERE OLD."id" IS NOT NEW."id";
END;

CREATE TRIGGER "disk.before.delete" BEFORE DELETE ON "disk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "disk.after.insert" AFTER INSERT ON "disk" BEGIN
  SELECT RAISE(ABORT, 'disk.targets: must be a list, each item text [type disk targets]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."targets") WHERE NOT ("type" = 'text'));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'disk', json_array(NEW."id"), json_object('id', NEW."id", 'type', NEW."type", 'targets', NEW."targets" || '', 'storage_pool', NEW."storage_pool", 'host', NEW."host", 'size', NEW."size") FROM "_meta";
END;

CREATE TRIGGER "disk.after.update" AFTER UPDATE ON "disk" BEGIN
  SELECT RAISE(ABORT, 'disk.targets: must be a list, each item text [type disk targets]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."targets") WHERE NOT ("type" = 'text'));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'disk', json_array(NEW."id"), json_object('id', NEW."id", 'type', NEW."type", 'targets', NEW."targets" || '', 'storage_pool', NEW."storage_pool", 'host', NEW."host", 'size', NEW."size") FROM "_meta" WHERE OLD."id" IS NOT NEW."id" OR OLD."type" IS NOT NEW."type" OR OLD."targets" IS NOT NEW."targets" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."host" IS NOT NEW."host" OR OLD."size" IS NOT NEW."size";
END;

CREATE TRIGGER "disk.after.delete" AFTER DELETE ON "disk" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'disk', json_array(OLD."id"), NULL FROM "_meta";
END;

CREATE TABLE "image" (
  "uuid" TEXT NOT NULL CONSTRAINT "image.uuid: must be a UUID [type image uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "image.name: must be text [type image name]" CHECK (instr("name", char(0)) = 0),
  "description" TEXT CONSTRAINT "image.description: must be text [type image description]" CHECK ("description" IS NULL OR instr("description", char(0)) = 0),
  "tenant" TEXT CONSTRAINT "image.tenant: must be a UUID [type image tenant]" CHECK ("tenant" IS NULL OR "tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "source_uri" TEXT CONSTRAINT "image.source_uri: must be text [type image source_uri]" CHECK ("source_uri" IS NULL OR instr("source_uri", char(0)) = 0),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "image.reference.tenant" ON "image" ("tenant");

CREATE TRIGGER "image.before.insert" BEFORE INSERT ON "image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'image.uuid: exists already [key image]') WHERE EXISTS (SELECT 1 FROM "image" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "image.before.update" BEFORE UPDATE ON "image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'image.uuid: cannot be changed [immutable image uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "image.before.delete" BEFORE DELETE ON "image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "image.after.insert" AFTER INSERT ON "image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'image', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'description', NEW."description", 'tenant', NEW."tenant", 'source_uri', NEW."source_uri") FROM "_meta";
END;

CREATE TRIGGER "image.after.update" AFTER UPDATE ON "image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'image', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'description', NEW."description", 'tenant', NEW."tenant", 'source_uri', NEW."source_uri") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."name" IS NOT NEW."name" OR OLD."description" IS NOT NEW."description" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."source_uri" IS NOT NEW."source_uri";
END;

CREATE TRIGGER "image.after.delete" AFTER DELETE ON "image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'image', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "host_image" (
  "host" TEXT NOT NULL CONSTRAINT "host_image.host: must be a UUID [type host_image host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "image" TEXT NOT NULL CONSTRAINT "host_image.image: must be a UUID [type host_image image]" CHECK ("image" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "volume" TEXT NOT NULL CONSTRAINT "host_image.volume: must be a UUID [type host_image volume]" CHECK ("volume" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "source" TEXT NOT NULL CONSTRAINT "host_image.source: must be a UUID [type host_image source]" CHECK ("source" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "way" TEXT NOT NULL CONSTRAINT "host_image.way: must be text [type host_image way]" CHECK (instr("way", char(0)) = 0),
  "origin" TEXT NOT NULL CONSTRAINT "host_image.origin: must be text [type host_image origin]" CHECK (instr("origin", char(0)) = 0),
  PRIMARY KEY ("host", "image"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("image") REFERENCES "image" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("volume") REFERENCES "volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("source") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "host_image.reference.image" ON "host_image" ("image");

CREATE INDEX "host_image.reference.volume" ON "host_image" ("volume");

CREATE INDEX "host_image.reference.source" ON "host_image" ("source");

CREATE TRIGGER "host_image.before.insert" BEFORE INSERT ON "host_image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_image.host, host_image.image: exists already [key host_image]') WHERE EXISTS (SELECT 1 FROM "host_image" WHERE "host" = NEW."host" AND "image" = NEW."image");
END;

CREATE TRIGGER "host_image.before.update" BEFORE UPDATE ON "host_image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_image.host: cannot be changed [immutable host_image host]') WHERE OLD."host" IS NOT NEW."host";
  SELECT RAISE(ABORT, 'host_image.image: cannot be changed [immutable host_image image]') WHERE OLD."image" IS NOT NEW."image";
END;

CREATE TRIGGER "host_image.before.delete" BEFORE DELETE ON "host_image" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "host_image.after.insert" AFTER INSERT ON "host_image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_image', json_array(NEW."host", NEW."image"), json_object('host', NEW."host", 'image', NEW."image", 'volume', NEW."volume", 'source', NEW."source", 'way', NEW."way", 'origin', NEW."origin") FROM "_meta";
END;

CREATE TRIGGER "host_image.after.update" AFTER UPDATE ON "host_image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_image', json_array(NEW."host", NEW."image"), json_object('host', NEW."host", 'image', NEW."image", 'volume', NEW."volume", 'source', NEW."source", 'way', NEW."way", 'origin', NEW."origin") FROM "_meta" WHERE OLD."host" IS NOT NEW."host" OR OLD."image" IS NOT NEW."image" OR OLD."volume" IS NOT NEW."volume" OR OLD."source" IS NOT NEW."source" OR OLD."way" IS NOT NEW."way" OR OLD."origin" IS NOT NEW."origin";
END;

CREATE TRIGGER "host_image.after.delete" AFTER DELETE ON "host_image" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_image', json_array(OLD."host", OLD."image"), NULL FROM "_meta";
END;

CREATE TABLE "volume" (
  "uuid" TEXT NOT NULL CONSTRAINT "volume.uuid: must be a UUID [type volume uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT CONSTRAINT "volume.name: must be text [type volume name]" CHECK ("name" IS NULL OR instr("name", char(0)) = 0),
  "state" TEXT NOT NULL DEFAULT 'present' CONSTRAINT "volume.state: must be one of `present`, `optional`, `deleted` [type volume state]" CHECK ("state" IN ('present', 'optional', 'deleted')),
  "size" INTEGER,
  "storage_pool" TEXT NOT NULL CONSTRAINT "volume.storage_pool: must be a UUID [type volume storage_pool]" CHECK ("storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "format" TEXT CONSTRAINT "volume.format: must be one of `raw`, `qcow2` [type volume format]" CHECK ("format" IS NULL OR "format" IN ('raw', 'qcow2')),
  "base_image" TEXT CONSTRAINT "volume.base_image: must be a UUID [type volume base_image]" CHECK ("base_image" IS NULL OR "base_image" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "base_volume" TEXT CONSTRAINT "volume.base_volume: must be a UUID [type volume base_volume]" CHECK ("base_volume" IS NULL OR "base_volume" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "image" TEXT CONSTRAINT "volume.image: must be a UUID [type volume image]" CHECK ("image" IS NULL OR "image" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT CONSTRAINT "volume.tenant: must be a UUID [type volume tenant]" CHECK ("tenant" IS NULL OR "tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("base_image") REFERENCES "image" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("base_volume") REFERENCES "volume" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("image") REFERENCES "image" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "volume: size is needed, but for a volume that backs an image [check volume 0]" CHECK ("size" IS NOT NULL OR "image" IS NOT NULL OR "state" = 'deleted'),
  CONSTRAINT "volume: base_image and base_volume exclude each other [check volume 1]" CHECK ("base_image" IS NULL OR "base_volume" IS NULL),
  CONSTRAINT "volume: size must be 1 to 2147483648 [check volume 3]" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 2147483648)
) STRICT;

CREATE INDEX "volume.reference.storage_pool" ON "volume" ("storage_pool");

CREATE INDEX "volume.reference.base_image" ON "volume" ("base_image");

CREATE INDEX "volume.reference.base_volume" ON "volume" ("base_volume");

CREATE INDEX "volume.reference.image" ON "volume" ("image");

CREATE INDEX "volume.reference.tenant" ON "volume" ("tenant");

CREATE TRIGGER "volume.before.insert" BEFORE INSERT ON "volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'volume.uuid: exists already [key volume]') WHERE EXISTS (SELECT 1 FROM "volume" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "volume.before.update" BEFORE UPDATE ON "volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'volume.uuid: cannot be changed [immutable volume uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'volume.format: cannot be changed [immutable volume format]') WHERE OLD."format" IS NOT NEW."format";
END;

CREATE TRIGGER "volume.before.delete" BEFORE DELETE ON "volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "volume.after.insert" AFTER INSERT ON "volume" BEGIN
  SELECT RAISE(ABORT, 'volume: a quota of storage would be exceeded [quota volume 2]') WHERE NEW."state" = 'present' AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'storage' AND q."tenant" = (SELECT it."tenant" FROM "volume" AS it WHERE it."uuid" = NEW."uuid") AND (q."storage_pool" IS NULL OR q."storage_pool" = NEW."storage_pool") AND q."limit" < (SELECT coalesce(sum(coalesce(it."size", 0)), 0) FROM "volume" AS it WHERE it."tenant" = q."tenant" AND it."state" = 'present' AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'volume', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'state', NEW."state", 'size', NEW."size", 'storage_pool', NEW."storage_pool", 'format', NEW."format", 'base_image', NEW."base_image", 'base_volume', NEW."base_volume", 'image', NEW."image", 'tenant', NEW."tenant") FROM "_meta";
END;

CREATE TRIGGER "volume.after.update" AFTER UPDATE ON "volume" BEGIN
  SELECT RAISE(ABORT, 'volume: a quota of storage would be exceeded [quota volume 2]') WHERE NEW."state" = 'present' AND (OLD."tenant" IS NOT NEW."tenant" OR OLD."state" IS NOT NEW."state" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR coalesce(NEW."size", 0) > coalesce(OLD."size", 0)) AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'storage' AND q."tenant" = (SELECT it."tenant" FROM "volume" AS it WHERE it."uuid" = NEW."uuid") AND (q."storage_pool" IS NULL OR q."storage_pool" = NEW."storage_pool") AND q."limit" < (SELECT coalesce(sum(coalesce(it."size", 0)), 0) FROM "volume" AS it WHERE it."tenant" = q."tenant" AND it."state" = 'present' AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'volume', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'state', NEW."state", 'size', NEW."size", 'storage_pool', NEW."storage_pool", 'format', NEW."format", 'base_image', NEW."base_image", 'base_volume', NEW."base_volume", 'image', NEW."image", 'tenant', NEW."tenant") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."name" IS NOT NEW."name" OR OLD."state" IS NOT NEW."state" OR OLD."size" IS NOT NEW."size" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."format" IS NOT NEW."format" OR OLD."base_image" IS NOT NEW."base_image" OR OLD."base_volume" IS NOT NEW."base_volume" OR OLD."image" IS NOT NEW."image" OR OLD."tenant" IS NOT NEW."tenant";
END;

CREATE TRIGGER "volume.after.delete" AFTER DELETE ON "volume" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'volume', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "host_volume" (
  "host" TEXT NOT NULL CONSTRAINT "host_volume.host: must be a UUID [type host_volume host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "volume" TEXT NOT NULL CONSTRAINT "host_volume.volume: must be a UUID [type host_volume volume]" CHECK ("volume" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "hold" TEXT NOT NULL CONSTRAINT "host_volume.hold: must be one of `whole`, `use`, `incoming`, `released`, `look` [type host_volume hold]" CHECK ("hold" IN ('whole', 'use', 'incoming', 'released', 'look')),
  "sharer" TEXT CONSTRAINT "host_volume.sharer: must be a UUID [type host_volume sharer]" CHECK ("sharer" IS NULL OR "sharer" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "made" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "host_volume.made: must be `true` or `false` [type host_volume made]" CHECK ("made" IN (0, 1)),
  "serial" INTEGER NOT NULL DEFAULT 0,
  "storage_pool" TEXT CONSTRAINT "host_volume.storage_pool: must be a UUID [type host_volume storage_pool]" CHECK ("storage_pool" IS NULL OR "storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("host", "volume"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("volume") REFERENCES "volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "host_volume.unique.0" ON "host_volume" (ifnull("volume", x''), ifnull("sharer", x''));

CREATE INDEX "host_volume.reference.volume" ON "host_volume" ("volume");

CREATE INDEX "host_volume.reference.storage_pool" ON "host_volume" ("storage_pool");

CREATE TRIGGER "host_volume.before.insert" BEFORE INSERT ON "host_volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_volume.host, host_volume.volume: exists already [key host_volume]') WHERE EXISTS (SELECT 1 FROM "host_volume" WHERE "host" = NEW."host" AND "volume" = NEW."volume");
  SELECT RAISE(ABORT, 'host_volume.volume, host_volume.sharer: exists already [unique host_volume 0]') WHERE EXISTS (SELECT 1 FROM "host_volume" WHERE ifnull("volume", x'') = ifnull(NEW."volume", x'') AND ifnull("sharer", x'') = ifnull(NEW."sharer", x''));
END;

CREATE TRIGGER "host_volume.before.update" BEFORE UPDATE ON "host_volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_volume.host: cannot be changed [immutable host_volume host]') WHERE OLD."host" IS NOT NEW."host";
  SELECT RAISE(ABORT, 'host_volume.volume: cannot be changed [immutable host_volume volume]') WHERE OLD."volume" IS NOT NEW."volume";
  SELECT RAISE(ABORT, 'host_volume.volume, host_volume.sharer: exists already [unique host_volume 0]') WHERE (OLD."volume" IS NOT NEW."volume" OR OLD."sharer" IS NOT NEW."sharer") AND EXISTS (SELECT 1 FROM "host_volume" WHERE ifnull("volume", x'') = ifnull(NEW."volume", x'') AND ifnull("sharer", x'') = ifnull(NEW."sharer", x''));
END;

CREATE TRIGGER "host_volume.before.delete" BEFORE DELETE ON "host_volume" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "host_volume.after.insert" AFTER INSERT ON "host_volume" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_volume', json_array(NEW."host", NEW."volume"), json_object('host', NEW."host", 'volume', NEW."volume", 'hold', NEW."hold", 'sharer', NEW."sharer", 'made', NEW."made", 'serial', NEW."serial", 'storage_pool', NEW."storage_pool") FROM "_meta";
END;

CREATE TRIGGER "host_volume.after.update" AFTER UPDATE ON "host_volume" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_volume', json_array(NEW."host", NEW."volume"), json_object('host', NEW."host", 'volume', NEW."volume", 'hold', NEW."hold", 'sharer', NEW."sharer", 'made', NEW."made", 'serial', NEW."serial", 'storage_pool', NEW."storage_pool") FROM "_meta" WHERE OLD."host" IS NOT NEW."host" OR OLD."volume" IS NOT NEW."volume" OR OLD."hold" IS NOT NEW."hold" OR OLD."sharer" IS NOT NEW."sharer" OR OLD."made" IS NOT NEW."made" OR OLD."serial" IS NOT NEW."serial" OR OLD."storage_pool" IS NOT NEW."storage_pool";
END;

CREATE TRIGGER "host_volume.after.delete" AFTER DELETE ON "host_volume" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_volume', json_array(OLD."host", OLD."volume"), NULL FROM "_meta";
END;

CREATE TABLE "extent" (
  "uuid" TEXT NOT NULL CONSTRAINT "extent.uuid: must be a UUID [type extent uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "storage_pool" TEXT NOT NULL CONSTRAINT "extent.storage_pool: must be a UUID [type extent storage_pool]" CHECK ("storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "disk" TEXT NOT NULL CONSTRAINT "extent.disk: must be text [type extent disk]" CHECK (instr("disk", char(0)) = 0),
  "range" TEXT NOT NULL CONSTRAINT "extent.range: must be a range `[start, end]` of two whole numbers [type extent range]" CHECK (CASE WHEN json_valid("range") THEN "range" = json_array(json_extract("range", '$[0]'), json_extract("range", '$[1]')) AND json_type("range", '$[0]') = 'integer' AND json_type("range", '$[1]') = 'integer' AND json_extract("range", '$[0]') < json_extract("range", '$[1]') ELSE 0 END),
  "volume" TEXT CONSTRAINT "extent.volume: must be a UUID [type extent volume]" CHECK ("volume" IS NULL OR "volume" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "order" INTEGER NOT NULL,
  "made" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "extent.made: must be `true` or `false` [type extent made]" CHECK ("made" IN (0, 1)),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("disk") REFERENCES "disk" ("id") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("volume") REFERENCES "volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "extent: order must not be negative [check extent 1]" CHECK ("order" >= 0)
) STRICT;

CREATE INDEX "extent.overlap.0" ON "extent" ("disk", json_extract("range", '$[0]'));

CREATE INDEX "extent.reference.storage_pool" ON "extent" ("storage_pool");

CREATE INDEX "extent.reference.disk" ON "extent" ("disk");

CREATE INDEX "extent.reference.volume" ON "extent" ("volume");

CREATE TRIGGER "extent.before.insert" BEFORE INSERT ON "extent" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'extent.uuid: exists already [key extent]') WHERE EXISTS (SELECT 1 FROM "extent" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "extent.before.update" BEFORE UPDATE ON "extent" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'extent.uuid: cannot be changed [immutable extent uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "extent.before.delete" BEFORE DELETE ON "extent" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "extent.after.insert" AFTER INSERT ON "extent" BEGIN
  SELECT RAISE(ABORT, 'extent.range: overlaps another of the same disk [overlap extent 0]') WHERE (SELECT json_extract("range", '$[1]') FROM "extent" WHERE "disk" = NEW."disk" AND json_extract("range", '$[0]') < json_extract(NEW."range", '$[1]') AND NOT ("uuid" = NEW."uuid") ORDER BY json_extract("range", '$[0]') DESC LIMIT 1) > json_extract(NEW."range", '$[0]');
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'extent', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'storage_pool', NEW."storage_pool", 'disk', NEW."disk", 'range', NEW."range" || '', 'volume', NEW."volume", 'order', NEW."order", 'made', NEW."made") FROM "_meta";
END;

CREATE TRIGGER "extent.after.update" AFTER UPDATE ON "extent" BEGIN
  SELECT RAISE(ABORT, 'extent.range: overlaps another of the same disk [overlap extent 0]') WHERE (SELECT json_extract("range", '$[1]') FROM "extent" WHERE "disk" = NEW."disk" AND json_extract("range", '$[0]') < json_extract(NEW."range", '$[1]') AND NOT ("uuid" = NEW."uuid") ORDER BY json_extract("range", '$[0]') DESC LIMIT 1) > json_extract(NEW."range", '$[0]');
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'extent', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'storage_pool', NEW."storage_pool", 'disk', NEW."disk", 'range', NEW."range" || '', 'volume', NEW."volume", 'order', NEW."order", 'made', NEW."made") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."disk" IS NOT NEW."disk" OR OLD."range" IS NOT NEW."range" OR OLD."volume" IS NOT NEW."volume" OR OLD."order" IS NOT NEW."order" OR OLD."made" IS NOT NEW."made";
END;

CREATE TRIGGER "extent.after.delete" AFTER DELETE ON "extent" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'extent', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "switch" (
  "uuid" TEXT NOT NULL CONSTRAINT "switch.uuid: must be a UUID [type switch uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "switch.name: must be text [type switch name]" CHECK (instr("name", char(0)) = 0),
  "tenant" TEXT CONSTRAINT "switch.tenant: must be a UUID [type switch tenant]" CHECK ("tenant" IS NULL OR "tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "type" TEXT NOT NULL CONSTRAINT "switch.type: must be one of `bridge`, `vxlan` [type switch type]" CHECK ("type" IN ('bridge', 'vxlan')),
  "tag" INTEGER,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "switch: tag must be 1 to 4094 for a bridge and 1 to 16777215 for a vxlan [check switch 3]" CHECK ("tag" IS NULL OR ("type" = 'bridge' AND "tag" BETWEEN 1 AND 4094) OR ("type" = 'vxlan' AND "tag" BETWEEN 1 AND 16777215))
) STRICT;

CREATE UNIQUE INDEX "switch.unique.0" ON "switch" (ifnull("tenant", x''), ifnull("name", x''));

CREATE UNIQUE INDEX "switch.unique.1" ON "switch" ("type", "tag");

CREATE INDEX "switch.reference.tenant" ON "switch" ("tenant");

CREATE TRIGGER "switch.before.insert" BEFORE INSERT ON "switch" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch.uuid: exists already [key switch]') WHERE EXISTS (SELECT 1 FROM "switch" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'switch.tenant, switch.name: exists already [unique switch 0]') WHERE EXISTS (SELECT 1 FROM "switch" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("name", x'') = ifnull(NEW."name", x''));
  SELECT RAISE(ABORT, 'switch.type, switch.tag: exists already [unique switch 1]') WHERE EXISTS (SELECT 1 FROM "switch" WHERE "type" = NEW."type" AND "tag" = NEW."tag");
END;

CREATE TRIGGER "switch.before.update" BEFORE UPDATE ON "switch" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch.uuid: cannot be changed [immutable switch uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'switch.type: cannot be changed [immutable switch type]') WHERE OLD."type" IS NOT NEW."type";
  SELECT RAISE(ABORT, 'switch.tenant, switch.name: exists already [unique switch 0]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."name" IS NOT NEW."name") AND EXISTS (SELECT 1 FROM "switch" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("name", x'') = ifnull(NEW."name", x''));
  SELECT RAISE(ABORT, 'switch.type, switch.tag: exists already [unique switch 1]') WHERE (OLD."type" IS NOT NEW."type" OR OLD."tag" IS NOT NEW."tag") AND EXISTS (SELECT 1 FROM "switch" WHERE "type" = NEW."type" AND "tag" = NEW."tag");
END;

CREATE TRIGGER "switch.before.delete" BEFORE DELETE ON "switch" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "switch.after.insert" AFTER INSERT ON "switch" BEGIN
  SELECT RAISE(ABORT, 'switch: a quota of switches would be exceeded [quota switch 2]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'switches' AND q."tenant" = (SELECT it."tenant" FROM "switch" AS it WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "switch" AS it WHERE it."tenant" = q."tenant"));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'tenant', NEW."tenant", 'type', NEW."type", 'tag', NEW."tag") FROM "_meta";
END;

CREATE TRIGGER "switch.after.update" AFTER UPDATE ON "switch" BEGIN
  SELECT RAISE(ABORT, 'switch: a quota of switches would be exceeded [quota switch 2]') WHERE (OLD."tenant" IS NOT NEW."tenant") AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'switches' AND q."tenant" = (SELECT it."tenant" FROM "switch" AS it WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "switch" AS it WHERE it."tenant" = q."tenant"));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'name', NEW."name", 'tenant', NEW."tenant", 'type', NEW."type", 'tag', NEW."tag") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."name" IS NOT NEW."name" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."type" IS NOT NEW."type" OR OLD."tag" IS NOT NEW."tag";
END;

CREATE TRIGGER "switch.after.delete" AFTER DELETE ON "switch" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "switch_tenant" (
  "switch" TEXT NOT NULL CONSTRAINT "switch_tenant.switch: must be a UUID [type switch_tenant switch]" CHECK ("switch" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT NOT NULL CONSTRAINT "switch_tenant.tenant: must be a UUID [type switch_tenant tenant]" CHECK ("tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("switch", "tenant"),
  FOREIGN KEY ("switch") REFERENCES "switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "switch_tenant.reference.tenant" ON "switch_tenant" ("tenant");

CREATE TRIGGER "switch_tenant.before.insert" BEFORE INSERT ON "switch_tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch_tenant.switch, switch_tenant.tenant: exists already [key switch_tenant]') WHERE EXISTS (SELECT 1 FROM "switch_tenant" WHERE "switch" = NEW."switch" AND "tenant" = NEW."tenant");
END;

CREATE TRIGGER "switch_tenant.before.update" BEFORE UPDATE ON "switch_tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch_tenant.switch: cannot be changed [immutable switch_tenant switch]') WHERE OLD."switch" IS NOT NEW."switch";
  SELECT RAISE(ABORT, 'switch_tenant.tenant: cannot be changed [immutable switch_tenant tenant]') WHERE OLD."tenant" IS NOT NEW."tenant";
END;

CREATE TRIGGER "switch_tenant.before.delete" BEFORE DELETE ON "switch_tenant" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "switch_tenant.after.insert" AFTER INSERT ON "switch_tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_tenant', json_array(NEW."switch", NEW."tenant"), json_object('switch', NEW."switch", 'tenant', NEW."tenant") FROM "_meta";
END;

CREATE TRIGGER "switch_tenant.after.update" AFTER UPDATE ON "switch_tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_tenant', json_array(NEW."switch", NEW."tenant"), json_object('switch', NEW."switch", 'tenant', NEW."tenant") FROM "_meta" WHERE OLD."switch" IS NOT NEW."switch" OR OLD."tenant" IS NOT NEW."tenant";
END;

CREATE TRIGGER "switch_tenant.after.delete" AFTER DELETE ON "switch_tenant" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_tenant', json_array(OLD."switch", OLD."tenant"), NULL FROM "_meta";
END;

CREATE TABLE "network" (
  "uuid" TEXT NOT NULL CONSTRAINT "network.uuid: must be a UUID [type network uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "switch" TEXT NOT NULL CONSTRAINT "network.switch: must be a UUID [type network switch]" CHECK ("switch" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "vlan_tag" INTEGER,
  "range" TEXT NOT NULL,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("switch") REFERENCES "switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "network: vlan_tag must be 1 to 4094 [check network 0]" CHECK ("vlan_tag" IS NULL OR "vlan_tag" BETWEEN 1 AND 4094)
) STRICT;

CREATE INDEX "network.reference.switch" ON "network" ("switch");

CREATE TRIGGER "network.before.insert" BEFORE INSERT ON "network" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'network.uuid: exists already [key network]') WHERE EXISTS (SELECT 1 FROM "network" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "network.before.update" BEFORE UPDATE ON "network" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'network.uuid: cannot be changed [immutable network uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "network.before.delete" BEFORE DELETE ON "network" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "network.after.insert" AFTER INSERT ON "network" BEGIN
  INSERT INTO "_cidr" ("value") SELECT NEW."range";
  INSERT INTO "_inside" ("address", "range") SELECT "ip", NEW."range" FROM "address" WHERE "network" = NEW."uuid" AND "ip" IS NOT NULL AND NEW."range" IS NOT NULL;
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'network', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'switch', NEW."switch", 'vlan_tag', NEW."vlan_tag", 'range', NEW."range") FROM "_meta";
END;

CREATE TRIGGER "network.after.update" AFTER UPDATE ON "network" BEGIN
  INSERT INTO "_cidr" ("value") SELECT NEW."range" WHERE NEW."range" IS NOT OLD."range";
  INSERT INTO "_inside" ("address", "range") SELECT "ip", NEW."range" FROM "address" WHERE "network" = NEW."uuid" AND "ip" IS NOT NULL AND NEW."range" IS NOT NULL;
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'network', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'switch', NEW."switch", 'vlan_tag', NEW."vlan_tag", 'range', NEW."range") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."switch" IS NOT NEW."switch" OR OLD."vlan_tag" IS NOT NEW."vlan_tag" OR OLD."range" IS NOT NEW."range";
END;

CREATE TRIGGER "network.after.delete" AFTER DELETE ON "network" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'network', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "route" (
  "uuid" TEXT NOT NULL CONSTRAINT "route.uuid: must be a UUID [type route uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "network" TEXT NOT NULL CONSTRAINT "route.network: must be a UUID [type route network]" CHECK ("network" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "route" TEXT NOT NULL,
  "via" TEXT NOT NULL,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("network") REFERENCES "network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "route.reference.network" ON "route" ("network");

CREATE TRIGGER "route.before.insert" BEFORE INSERT ON "route" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'route.uuid: exists already [key route]') WHERE EXISTS (SELECT 1 FROM "route" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "route.before.update" BEFORE UPDATE ON "route" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'route.uuid: cannot be changed [immutable route uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "route.before.delete" BEFORE DELETE ON "route" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "route.after.insert" AFTER INSERT ON "route" BEGIN
  INSERT INTO "_cidr" ("value") SELECT NEW."route";
  INSERT INTO "_inet" ("value") SELECT NEW."via";
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'route', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'network', NEW."network", 'route', NEW."route", 'via', NEW."via") FROM "_meta";
END;

CREATE TRIGGER "route.after.update" AFTER UPDATE ON "route" BEGIN
  INSERT INTO "_cidr" ("value") SELECT NEW."route" WHERE NEW."route" IS NOT OLD."route";
  INSERT INTO "_inet" ("value") SELECT NEW."via" WHERE NEW."via" IS NOT OLD."via";
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'route', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'network', NEW."network", 'route', NEW."route", 'via', NEW."via") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."network" IS NOT NEW."network" OR OLD."route" IS NOT NEW."route" OR OLD."via" IS NOT NEW."via";
END;

CREATE TRIGGER "route.after.delete" AFTER DELETE ON "route" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'route', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "quota" (
  "uuid" TEXT NOT NULL CONSTRAINT "quota.uuid: must be a UUID [type quota uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT NOT NULL CONSTRAINT "quota.tenant: must be a UUID [type quota tenant]" CHECK ("tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "type" TEXT NOT NULL CONSTRAINT "quota.type: must be one of `storage`, `vcpu`, `rcpu`, `mem`, `instances`, `ips`, `switches` [type quota type]" CHECK ("type" IN ('storage', 'vcpu', 'rcpu', 'mem', 'instances', 'ips', 'switches')),
  "limit" REAL NOT NULL CONSTRAINT "quota.limit: must be a number [type quota limit]" CHECK ("limit" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  "storage_pool" TEXT CONSTRAINT "quota.storage_pool: must be a UUID [type quota storage_pool]" CHECK ("storage_pool" IS NULL OR "storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "cpu_profile" TEXT CONSTRAINT "quota.cpu_profile: must be a UUID [type quota cpu_profile]" CHECK ("cpu_profile" IS NULL OR "cpu_profile" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "network" TEXT CONSTRAINT "quota.network: must be a UUID [type quota network]" CHECK ("network" IS NULL OR "network" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("cpu_profile") REFERENCES "cpu_profile" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("network") REFERENCES "network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "quota: limit must not be negative [check quota 1]" CHECK ("limit" >= 0),
  CONSTRAINT "quota: storage_pool narrows limits of storage only [check quota 2]" CHECK ("storage_pool" IS NULL OR "type" = 'storage'),
  CONSTRAINT "quota: cpu_profile narrows limits of vcpu, rcpu, mem and instances only [check quota 3]" CHECK ("cpu_profile" IS NULL OR "type" IN ('vcpu', 'rcpu', 'mem', 'instances')),
  CONSTRAINT "quota: network narrows limits of ips only [check quota 4]" CHECK ("network" IS NULL OR "type" = 'ips')
) STRICT;

CREATE UNIQUE INDEX "quota.unique.0" ON "quota" (ifnull("tenant", x''), ifnull("type", x''), ifnull("storage_pool", x''), ifnull("cpu_profile", x''), ifnull("network", x''));

CREATE INDEX "quota.reference.tenant" ON "quota" ("tenant");

CREATE INDEX "quota.reference.storage_pool" ON "quota" ("storage_pool");

CREATE INDEX "quota.reference.cpu_profile" ON "quota" ("cpu_profile");

CREATE INDEX "quota.reference.network" ON "quota" ("network");

CREATE TRIGGER "quota.before.insert" BEFORE INSERT ON "quota" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'quota.uuid: exists already [key quota]') WHERE EXISTS (SELECT 1 FROM "quota" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'quota.tenant, quota.type, quota.storage_pool, quota.cpu_profile, quota.network: exists already [unique quota 0]') WHERE EXISTS (SELECT 1 FROM "quota" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("type", x'') = ifnull(NEW."type", x'') AND ifnull("storage_pool", x'') = ifnull(NEW."storage_pool", x'') AND ifnull("cpu_profile", x'') = ifnull(NEW."cpu_profile", x'') AND ifnull("network", x'') = ifnull(NEW."network", x''));
END;

CREATE TRIGGER "quota.before.update" BEFORE UPDATE ON "quota" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'quota.uuid: cannot be changed [immutable quota uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'quota.tenant, quota.type, quota.storage_pool, quota.cpu_profile, quota.network: exists already [unique quota 0]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."type" IS NOT NEW."type" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR OLD."network" IS NOT NEW."network") AND EXISTS (SELECT 1 FROM "quota" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("type", x'') = ifnull(NEW."type", x'') AND ifnull("storage_pool", x'') = ifnull(NEW."storage_pool", x'') AND ifnull("cpu_profile", x'') = ifnull(NEW."cpu_profile", x'') AND ifnull("network", x'') = ifnull(NEW."network", x''));
END;

CREATE TRIGGER "quota.before.delete" BEFORE DELETE ON "quota" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "quota.after.insert" AFTER INSERT ON "quota" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'quota', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'type', NEW."type", 'limit', CASE WHEN NEW."limit" IS NOT NULL THEN printf('%!.17g', NEW."limit") END, 'storage_pool', NEW."storage_pool", 'cpu_profile', NEW."cpu_profile", 'network', NEW."network") FROM "_meta";
END;

CREATE TRIGGER "quota.after.update" AFTER UPDATE ON "quota" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'quota', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'type', NEW."type", 'limit', CASE WHEN NEW."limit" IS NOT NULL THEN printf('%!.17g', NEW."limit") END, 'storage_pool', NEW."storage_pool", 'cpu_profile', NEW."cpu_profile", 'network', NEW."network") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."type" IS NOT NEW."type" OR OLD."limit" IS NOT NEW."limit" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR OLD."network" IS NOT NEW."network";
END;

CREATE TRIGGER "quota.after.delete" AFTER DELETE ON "quota" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'quota', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "metering" (
  "uuid" TEXT NOT NULL CONSTRAINT "metering.uuid: must be a UUID [type metering uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT NOT NULL CONSTRAINT "metering.tenant: must be a UUID [type metering tenant]" CHECK ("tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "type" TEXT NOT NULL CONSTRAINT "metering.type: must be one of `storage`, `vcpu`, `rcpu`, `mem`, `instances`, `ips`, `switches` [type metering type]" CHECK ("type" IN ('storage', 'vcpu', 'rcpu', 'mem', 'instances', 'ips', 'switches')),
  "kind" TEXT NOT NULL DEFAULT '{}' CONSTRAINT "metering.kind: must be a JSON value [type metering kind]" CHECK (CASE WHEN json_valid("kind") THEN json_type("kind") <> 'null' ELSE 0 END),
  "amount" REAL NOT NULL CONSTRAINT "metering.amount: must be a number [type metering amount]" CHECK ("amount" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  "target" TEXT CONSTRAINT "metering.target: must be a UUID [type metering target]" CHECK ("target" IS NULL OR "target" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "start" INTEGER NOT NULL,
  "end" INTEGER,
  PRIMARY KEY ("uuid"),
  CONSTRAINT "metering: end must not be before start [check metering 0]" CHECK ("end" IS NULL OR "end" >= "start")
) STRICT;

CREATE TRIGGER "metering.before.insert" BEFORE INSERT ON "metering" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'metering.uuid: exists already [key metering]') WHERE EXISTS (SELECT 1 FROM "metering" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "metering.before.update" BEFORE UPDATE ON "metering" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'metering.uuid: cannot be changed [immutable metering uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "metering.before.delete" BEFORE DELETE ON "metering" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "metering.after.insert" AFTER INSERT ON "metering" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'metering', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'type', NEW."type", 'kind', NEW."kind" || '', 'amount', CASE WHEN NEW."amount" IS NOT NULL THEN printf('%!.17g', NEW."amount") END, 'target', NEW."target", 'start', NEW."start", 'end', NEW."end") FROM "_meta";
END;

CREATE TRIGGER "metering.after.update" AFTER UPDATE ON "metering" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'metering', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'type', NEW."type", 'kind', NEW."kind" || '', 'amount', CASE WHEN NEW."amount" IS NOT NULL THEN printf('%!.17g', NEW."amount") END, 'target', NEW."target", 'start', NEW."start", 'end', NEW."end") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."type" IS NOT NEW."type" OR OLD."kind" IS NOT NEW."kind" OR OLD."amount" IS NOT NEW."amount" OR OLD."target" IS NOT NEW."target" OR OLD."start" IS NOT NEW."start" OR OLD."end" IS NOT NEW."end";
END;

CREATE TRIGGER "metering.after.delete" AFTER DELETE ON "metering" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'metering', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "instance" (
  "uuid" TEXT NOT NULL CONSTRAINT "instance.uuid: must be a UUID [type instance uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT CONSTRAINT "instance.tenant: must be a UUID [type instance tenant]" CHECK ("tenant" IS NULL OR "tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "instance.name: must be text [type instance name]" CHECK (instr("name", char(0)) = 0),
  "state" TEXT NOT NULL DEFAULT 'stopped' CONSTRAINT "instance.state: must be one of `running`, `paused`, `stopped` [type instance state]" CHECK ("state" IN ('running', 'paused', 'stopped')),
  "vcpu" INTEGER NOT NULL,
  "rcpu" REAL NOT NULL CONSTRAINT "instance.rcpu: must be a number [type instance rcpu]" CHECK ("rcpu" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  "mem" INTEGER NOT NULL,
  "ns" TEXT NOT NULL DEFAULT '[]' CONSTRAINT "instance.ns: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type instance ns]" CHECK (CASE WHEN json_valid("ns") THEN json_type("ns") = 'array' ELSE 0 END),
  "cpu_profile" TEXT CONSTRAINT "instance.cpu_profile: must be a UUID [type instance cpu_profile]" CHECK ("cpu_profile" IS NULL OR "cpu_profile" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "boot" TEXT NOT NULL DEFAULT 'disk' CONSTRAINT "instance.boot: must be one of `disk`, `network` [type instance boot]" CHECK ("boot" IN ('disk', 'network')),
  "firmware" TEXT NOT NULL DEFAULT 'bios' CONSTRAINT "instance.firmware: must be one of `bios`, `uefi` [type instance firmware]" CHECK ("firmware" IN ('bios', 'uefi')),
  "user_data" TEXT CONSTRAINT "instance.user_data: must be text [type instance user_data]" CHECK ("user_data" IS NULL OR instr("user_data", char(0)) = 0),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("cpu_profile") REFERENCES "cpu_profile" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "instance: rcpu must be positive [check instance 1]" CHECK ("rcpu" > 0),
  CONSTRAINT "instance: rcpu must not exceed vcpu [check instance 2]" CHECK ("rcpu" <= "vcpu"),
  CONSTRAINT "instance: vcpu must be 1 to 255 [check instance 7]" CHECK ("vcpu" BETWEEN 1 AND 255),
  CONSTRAINT "instance: mem must be 1 to 16777216 [check instance 8]" CHECK ("mem" BETWEEN 1 AND 16777216)
) STRICT;

CREATE UNIQUE INDEX "instance.unique.0" ON "instance" (ifnull("tenant", x''), ifnull("name", x''));

CREATE INDEX "instance.reference.tenant" ON "instance" ("tenant");

CREATE INDEX "instance.reference.cpu_profile" ON "instance" ("cpu_profile");

CREATE TRIGGER "instance.before.insert" BEFORE INSERT ON "instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'instance.uuid: exists already [key instance]') WHERE EXISTS (SELECT 1 FROM "instance" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'instance.tenant, instance.name: exists already [unique instance 0]') WHERE EXISTS (SELECT 1 FROM "instance" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("name", x'') = ifnull(NEW."name", x''));
END;

CREATE TRIGGER "instance.before.update" BEFORE UPDATE ON "instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'instance.uuid: cannot be changed [immutable instance uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'instance.tenant, instance.name: exists already [unique instance 0]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."name" IS NOT NEW."name") AND EXISTS (SELECT 1 FROM "instance" WHERE ifnull("tenant", x'') = ifnull(NEW."tenant", x'') AND ifnull("name", x'') = ifnull(NEW."name", x''));
END;

CREATE TRIGGER "instance.before.delete" BEFORE DELETE ON "instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "instance.after.insert" AFTER INSERT ON "instance" BEGIN
  SELECT RAISE(ABORT, 'instance.ns: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type instance ns]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."ns") WHERE NOT ("type" = 'text'));
  INSERT INTO "_inet" ("value") SELECT "value" FROM json_each(NEW."ns");
  SELECT RAISE(ABORT, 'instance: a quota of instances would be exceeded [quota instance 3]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'instances' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of vcpu would be exceeded [quota instance 4]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'vcpu' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."vcpu", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of rcpu would be exceeded [quota instance 5]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'rcpu' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."rcpu", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of mem would be exceeded [quota instance 6]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'mem' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."mem", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'instance', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'name', NEW."name", 'state', NEW."state", 'vcpu', NEW."vcpu", 'rcpu', CASE WHEN NEW."rcpu" IS NOT NULL THEN printf('%!.17g', NEW."rcpu") END, 'mem', NEW."mem", 'ns', NEW."ns" || '', 'cpu_profile', NEW."cpu_profile", 'boot', NEW."boot", 'firmware', NEW."firmware", 'user_data', NEW."user_data") FROM "_meta";
END;

CREATE TRIGGER "instance.after.update" AFTER UPDATE ON "instance" BEGIN
  SELECT RAISE(ABORT, 'instance.ns: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type instance ns]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."ns") WHERE NOT ("type" = 'text'));
  INSERT INTO "_inet" ("value") SELECT "value" FROM json_each(NEW."ns") WHERE NEW."ns" IS NOT OLD."ns";
  SELECT RAISE(ABORT, 'instance: a quota of instances would be exceeded [quota instance 3]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."cpu_profile" IS NOT NEW."cpu_profile") AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'instances' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of vcpu would be exceeded [quota instance 4]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR coalesce(NEW."vcpu", 0) > coalesce(OLD."vcpu", 0)) AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'vcpu' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."vcpu", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of rcpu would be exceeded [quota instance 5]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR coalesce(NEW."rcpu", 0) > coalesce(OLD."rcpu", 0)) AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'rcpu' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."rcpu", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'instance: a quota of mem would be exceeded [quota instance 6]') WHERE (OLD."tenant" IS NOT NEW."tenant" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR coalesce(NEW."mem", 0) > coalesce(OLD."mem", 0)) AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'mem' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND (q."cpu_profile" IS NULL OR q."cpu_profile" = NEW."cpu_profile") AND q."limit" < (SELECT coalesce(sum(coalesce(it."mem", 0)), 0) FROM "instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")));
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE (OLD."tenant" IS NOT NEW."tenant") AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT it."tenant" FROM "instance" AS it WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'instance', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'name', NEW."name", 'state', NEW."state", 'vcpu', NEW."vcpu", 'rcpu', CASE WHEN NEW."rcpu" IS NOT NULL THEN printf('%!.17g', NEW."rcpu") END, 'mem', NEW."mem", 'ns', NEW."ns" || '', 'cpu_profile', NEW."cpu_profile", 'boot', NEW."boot", 'firmware', NEW."firmware", 'user_data', NEW."user_data") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."name" IS NOT NEW."name" OR OLD."state" IS NOT NEW."state" OR OLD."vcpu" IS NOT NEW."vcpu" OR OLD."rcpu" IS NOT NEW."rcpu" OR OLD."mem" IS NOT NEW."mem" OR OLD."ns" IS NOT NEW."ns" OR OLD."cpu_profile" IS NOT NEW."cpu_profile" OR OLD."boot" IS NOT NEW."boot" OR OLD."firmware" IS NOT NEW."firmware" OR OLD."user_data" IS NOT NEW."user_data";
END;

CREATE TRIGGER "instance.after.delete" AFTER DELETE ON "instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'instance', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "host_instance" (
  "host" TEXT NOT NULL CONSTRAINT "host_instance.host: must be a UUID [type host_instance host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT NOT NULL CONSTRAINT "host_instance.instance: must be a UUID [type host_instance instance]" CHECK ("instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "released" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "host_instance.released: must be `true` or `false` [type host_instance released]" CHECK ("released" IN (0, 1)),
  "serial" INTEGER NOT NULL DEFAULT 0,
  "target" TEXT CONSTRAINT "host_instance.target: must be a UUID [type host_instance target]" CHECK ("target" IS NULL OR "target" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "cancelled" INTEGER NOT NULL DEFAULT 0 CONSTRAINT "host_instance.cancelled: must be `true` or `false` [type host_instance cancelled]" CHECK ("cancelled" IN (0, 1)),
  "way" TEXT CONSTRAINT "host_instance.way: must be text [type host_instance way]" CHECK ("way" IS NULL OR instr("way", char(0)) = 0),
  "origin" TEXT CONSTRAINT "host_instance.origin: must be text [type host_instance origin]" CHECK ("origin" IS NULL OR instr("origin", char(0)) = 0),
  PRIMARY KEY ("host", "instance"),
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("target") REFERENCES "host" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "host_instance.unique.0" ON "host_instance" ("instance");

CREATE INDEX "host_instance.reference.target" ON "host_instance" ("target");

CREATE TRIGGER "host_instance.before.insert" BEFORE INSERT ON "host_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_instance.host, host_instance.instance: exists already [key host_instance]') WHERE EXISTS (SELECT 1 FROM "host_instance" WHERE "host" = NEW."host" AND "instance" = NEW."instance");
  SELECT RAISE(ABORT, 'host_instance.instance: exists already [unique host_instance 0]') WHERE EXISTS (SELECT 1 FROM "host_instance" WHERE "instance" = NEW."instance");
END;

CREATE TRIGGER "host_instance.before.update" BEFORE UPDATE ON "host_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'host_instance.host: cannot be changed [immutable host_instance host]') WHERE OLD."host" IS NOT NEW."host";
  SELECT RAISE(ABORT, 'host_instance.instance: cannot be changed [immutable host_instance instance]') WHERE OLD."instance" IS NOT NEW."instance";
  SELECT RAISE(ABORT, 'host_instance.instance: exists already [unique host_instance 0]') WHERE (OLD."instance" IS NOT NEW."instance") AND EXISTS (SELECT 1 FROM "host_instance" WHERE "instance" = NEW."instance");
END;

CREATE TRIGGER "host_instance.before.delete" BEFORE DELETE ON "host_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "host_instance.after.insert" AFTER INSERT ON "host_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_instance', json_array(NEW."host", NEW."instance"), json_object('host', NEW."host", 'instance', NEW."instance", 'released', NEW."released", 'serial', NEW."serial", 'target', NEW."target", 'cancelled', NEW."cancelled", 'way', NEW."way", 'origin', NEW."origin") FROM "_meta";
END;

CREATE TRIGGER "host_instance.after.update" AFTER UPDATE ON "host_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_instance', json_array(NEW."host", NEW."instance"), json_object('host', NEW."host", 'instance', NEW."instance", 'released', NEW."released", 'serial', NEW."serial", 'target', NEW."target", 'cancelled', NEW."cancelled", 'way', NEW."way", 'origin', NEW."origin") FROM "_meta" WHERE OLD."host" IS NOT NEW."host" OR OLD."instance" IS NOT NEW."instance" OR OLD."released" IS NOT NEW."released" OR OLD."serial" IS NOT NEW."serial" OR OLD."target" IS NOT NEW."target" OR OLD."cancelled" IS NOT NEW."cancelled" OR OLD."way" IS NOT NEW."way" OR OLD."origin" IS NOT NEW."origin";
END;

CREATE TRIGGER "host_instance.after.delete" AFTER DELETE ON "host_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'host_instance', json_array(OLD."host", OLD."instance"), NULL FROM "_meta";
END;

CREATE TABLE "pin" (
  "uuid" TEXT NOT NULL CONSTRAINT "pin.uuid: must be a UUID [type pin uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT NOT NULL CONSTRAINT "pin.instance: must be a UUID [type pin instance]" CHECK ("instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "host" TEXT NOT NULL CONSTRAINT "pin.host: must be a UUID [type pin host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("instance") REFERENCES "instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "pin.unique.0" ON "pin" ("instance");

CREATE INDEX "pin.reference.host" ON "pin" ("host");

CREATE TRIGGER "pin.before.insert" BEFORE INSERT ON "pin" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'pin.uuid: exists already [key pin]') WHERE EXISTS (SELECT 1 FROM "pin" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'pin.instance: exists already [unique pin 0]') WHERE EXISTS (SELECT 1 FROM "pin" WHERE "instance" = NEW."instance");
END;

CREATE TRIGGER "pin.before.update" BEFORE UPDATE ON "pin" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'pin.uuid: cannot be changed [immutable pin uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'pin.instance: exists already [unique pin 0]') WHERE (OLD."instance" IS NOT NEW."instance") AND EXISTS (SELECT 1 FROM "pin" WHERE "instance" = NEW."instance");
END;

CREATE TRIGGER "pin.before.delete" BEFORE DELETE ON "pin" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "pin.after.insert" AFTER INSERT ON "pin" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'pin', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'host', NEW."host") FROM "_meta";
END;

CREATE TRIGGER "pin.after.update" AFTER UPDATE ON "pin" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'pin', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'host', NEW."host") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."instance" IS NOT NEW."instance" OR OLD."host" IS NOT NEW."host";
END;

CREATE TRIGGER "pin.after.delete" AFTER DELETE ON "pin" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'pin', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "vdisk" (
  "uuid" TEXT NOT NULL CONSTRAINT "vdisk.uuid: must be a UUID [type vdisk uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT NOT NULL CONSTRAINT "vdisk.instance: must be a UUID [type vdisk instance]" CHECK ("instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "volume" TEXT CONSTRAINT "vdisk.volume: must be a UUID [type vdisk volume]" CHECK ("volume" IS NULL OR "volume" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "image" TEXT CONSTRAINT "vdisk.image: must be a UUID [type vdisk image]" CHECK ("image" IS NULL OR "image" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "storage_pool" TEXT CONSTRAINT "vdisk.storage_pool: must be a UUID [type vdisk storage_pool]" CHECK ("storage_pool" IS NULL OR "storage_pool" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "size" INTEGER,
  "index" INTEGER NOT NULL,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("instance") REFERENCES "instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("volume") REFERENCES "volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("image") REFERENCES "image" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("storage_pool") REFERENCES "storage_pool" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "vdisk: exactly one of volume and image is needed or, in a template, storage_pool with size [check vdisk 1]" CHECK (("volume" IS NOT NULL AND "image" IS NULL AND "storage_pool" IS NULL AND "size" IS NULL) OR ("volume" IS NULL AND "image" IS NOT NULL AND "storage_pool" IS NULL AND "size" IS NULL) OR ("volume" IS NULL AND "image" IS NULL AND "storage_pool" IS NOT NULL AND "size" IS NOT NULL)),
  CONSTRAINT "vdisk: size must be 1 to 2147483648 [check vdisk 2]" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 2147483648),
  CONSTRAINT "vdisk: index must be 0 to 255 [check vdisk 3]" CHECK ("index" BETWEEN 0 AND 255)
) STRICT;

CREATE UNIQUE INDEX "vdisk.unique.0" ON "vdisk" ("instance", "index");

CREATE INDEX "vdisk.reference.volume" ON "vdisk" ("volume");

CREATE INDEX "vdisk.reference.image" ON "vdisk" ("image");

CREATE INDEX "vdisk.reference.storage_pool" ON "vdisk" ("storage_pool");

CREATE TRIGGER "vdisk.before.insert" BEFORE INSERT ON "vdisk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vdisk.uuid: exists already [key vdisk]') WHERE EXISTS (SELECT 1 FROM "vdisk" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'vdisk.instance, vdisk.index: exists already [unique vdisk 0]') WHERE EXISTS (SELECT 1 FROM "vdisk" WHERE "instance" = NEW."instance" AND "index" = NEW."index");
END;

CREATE TRIGGER "vdisk.before.update" BEFORE UPDATE ON "vdisk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vdisk.uuid: cannot be changed [immutable vdisk uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'vdisk.instance, vdisk.index: exists already [unique vdisk 0]') WHERE (OLD."instance" IS NOT NEW."instance" OR OLD."index" IS NOT NEW."index") AND EXISTS (SELECT 1 FROM "vdisk" WHERE "instance" = NEW."instance" AND "index" = NEW."index");
END;

CREATE TRIGGER "vdisk.before.delete" BEFORE DELETE ON "vdisk" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "vdisk.after.insert" AFTER INSERT ON "vdisk" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vdisk', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'volume', NEW."volume", 'image', NEW."image", 'storage_pool', NEW."storage_pool", 'size', NEW."size", 'index', NEW."index") FROM "_meta";
END;

CREATE TRIGGER "vdisk.after.update" AFTER UPDATE ON "vdisk" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vdisk', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'volume', NEW."volume", 'image', NEW."image", 'storage_pool', NEW."storage_pool", 'size', NEW."size", 'index', NEW."index") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."instance" IS NOT NEW."instance" OR OLD."volume" IS NOT NEW."volume" OR OLD."image" IS NOT NEW."image" OR OLD."storage_pool" IS NOT NEW."storage_pool" OR OLD."size" IS NOT NEW."size" OR OLD."index" IS NOT NEW."index";
END;

CREATE TRIGGER "vdisk.after.delete" AFTER DELETE ON "vdisk" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vdisk', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "vnic" (
  "uuid" TEXT NOT NULL CONSTRAINT "vnic.uuid: must be a UUID [type vnic uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT NOT NULL CONSTRAINT "vnic.instance: must be a UUID [type vnic instance]" CHECK ("instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "switch" TEXT NOT NULL CONSTRAINT "vnic.switch: must be a UUID [type vnic switch]" CHECK ("switch" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "macaddr" TEXT CONSTRAINT "vnic.macaddr: must be a MAC address like `52:54:00:12:34:56` [type vnic macaddr]" CHECK ("macaddr" IS NULL OR "macaddr" GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'),
  "index" INTEGER NOT NULL,
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("instance") REFERENCES "instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("switch") REFERENCES "switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT "vnic: index must be 0 to 255 [check vnic 1]" CHECK ("index" BETWEEN 0 AND 255)
) STRICT;

CREATE UNIQUE INDEX "vnic.unique.0" ON "vnic" ("instance", "index");

CREATE INDEX "vnic.reference.switch" ON "vnic" ("switch");

CREATE TRIGGER "vnic.before.insert" BEFORE INSERT ON "vnic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vnic.uuid: exists already [key vnic]') WHERE EXISTS (SELECT 1 FROM "vnic" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'vnic.instance, vnic.index: exists already [unique vnic 0]') WHERE EXISTS (SELECT 1 FROM "vnic" WHERE "instance" = NEW."instance" AND "index" = NEW."index");
END;

CREATE TRIGGER "vnic.before.update" BEFORE UPDATE ON "vnic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'vnic.uuid: cannot be changed [immutable vnic uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'vnic.instance, vnic.index: exists already [unique vnic 0]') WHERE (OLD."instance" IS NOT NEW."instance" OR OLD."index" IS NOT NEW."index") AND EXISTS (SELECT 1 FROM "vnic" WHERE "instance" = NEW."instance" AND "index" = NEW."index");
END;

CREATE TRIGGER "vnic.before.delete" BEFORE DELETE ON "vnic" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "vnic.after.insert" AFTER INSERT ON "vnic" BEGIN
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT p0."tenant" FROM "vnic" AS it JOIN "instance" AS p0 ON p0."uuid" = it."instance" WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vnic', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'switch', NEW."switch", 'macaddr', NEW."macaddr", 'index', NEW."index") FROM "_meta";
END;

CREATE TRIGGER "vnic.after.update" AFTER UPDATE ON "vnic" BEGIN
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE (OLD."instance" IS NOT NEW."instance") AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT p0."tenant" FROM "vnic" AS it JOIN "instance" AS p0 ON p0."uuid" = it."instance" WHERE it."uuid" = NEW."uuid") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vnic', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'instance', NEW."instance", 'switch', NEW."switch", 'macaddr', NEW."macaddr", 'index', NEW."index") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."instance" IS NOT NEW."instance" OR OLD."switch" IS NOT NEW."switch" OR OLD."macaddr" IS NOT NEW."macaddr" OR OLD."index" IS NOT NEW."index";
END;

CREATE TRIGGER "vnic.after.delete" AFTER DELETE ON "vnic" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'vnic', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "switch_port" (
  "vnic" TEXT NOT NULL CONSTRAINT "switch_port.vnic: must be a UUID [type switch_port vnic]" CHECK ("vnic" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "switch" TEXT NOT NULL CONSTRAINT "switch_port.switch: must be a UUID [type switch_port switch]" CHECK ("switch" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "host" TEXT NOT NULL CONSTRAINT "switch_port.host: must be a UUID [type switch_port host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "address" TEXT NOT NULL,
  "macaddr" TEXT NOT NULL CONSTRAINT "switch_port.macaddr: must be a MAC address like `52:54:00:12:34:56` [type switch_port macaddr]" CHECK ("macaddr" GLOB '[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]:[0-9a-f][0-9a-f]'),
  "ips" TEXT NOT NULL DEFAULT '[]' CONSTRAINT "switch_port.ips: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type switch_port ips]" CHECK (CASE WHEN json_valid("ips") THEN json_type("ips") = 'array' ELSE 0 END),
  PRIMARY KEY ("vnic"),
  FOREIGN KEY ("vnic") REFERENCES "vnic" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("switch") REFERENCES "switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("host") REFERENCES "host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "switch_port.reference.switch" ON "switch_port" ("switch");

CREATE INDEX "switch_port.reference.host" ON "switch_port" ("host");

CREATE TRIGGER "switch_port.before.insert" BEFORE INSERT ON "switch_port" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch_port.vnic: exists already [key switch_port]') WHERE EXISTS (SELECT 1 FROM "switch_port" WHERE "vnic" = NEW."vnic");
END;

CREATE TRIGGER "switch_port.before.update" BEFORE UPDATE ON "switch_port" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'switch_port.vnic: cannot be changed [immutable switch_port vnic]') WHERE OLD."vnic" IS NOT NEW."vnic";
END;

CREATE TRIGGER "switch_port.before.delete" BEFORE DELETE ON "switch_port" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "switch_port.after.insert" AFTER INSERT ON "switch_port" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."address";
  SELECT RAISE(ABORT, 'switch_port.ips: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type switch_port ips]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."ips") WHERE NOT ("type" = 'text'));
  INSERT INTO "_inet" ("value") SELECT "value" FROM json_each(NEW."ips");
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_port', json_array(NEW."vnic"), json_object('vnic', NEW."vnic", 'switch', NEW."switch", 'host', NEW."host", 'address', NEW."address", 'macaddr', NEW."macaddr", 'ips', NEW."ips" || '') FROM "_meta";
END;

CREATE TRIGGER "switch_port.after.update" AFTER UPDATE ON "switch_port" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."address" WHERE NEW."address" IS NOT OLD."address";
  SELECT RAISE(ABORT, 'switch_port.ips: must be a list, each item an IP address like `192.168.0.1` or `192.168.0.1/24` [type switch_port ips]') WHERE EXISTS (SELECT 1 FROM json_each(NEW."ips") WHERE NOT ("type" = 'text'));
  INSERT INTO "_inet" ("value") SELECT "value" FROM json_each(NEW."ips") WHERE NEW."ips" IS NOT OLD."ips";
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_port', json_array(NEW."vnic"), json_object('vnic', NEW."vnic", 'switch', NEW."switch", 'host', NEW."host", 'address', NEW."address", 'macaddr', NEW."macaddr", 'ips', NEW."ips" || '') FROM "_meta" WHERE OLD."vnic" IS NOT NEW."vnic" OR OLD."switch" IS NOT NEW."switch" OR OLD."host" IS NOT NEW."host" OR OLD."address" IS NOT NEW."address" OR OLD."macaddr" IS NOT NEW."macaddr" OR OLD."ips" IS NOT NEW."ips";
END;

CREATE TRIGGER "switch_port.after.delete" AFTER DELETE ON "switch_port" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'switch_port', json_array(OLD."vnic"), NULL FROM "_meta";
END;

CREATE TABLE "address" (
  "uuid" TEXT NOT NULL CONSTRAINT "address.uuid: must be a UUID [type address uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "network" TEXT NOT NULL CONSTRAINT "address.network: must be a UUID [type address network]" CHECK ("network" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "vnic" TEXT CONSTRAINT "address.vnic: must be a UUID [type address vnic]" CHECK ("vnic" IS NULL OR "vnic" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "ip" TEXT,
  "ptr" TEXT CONSTRAINT "address.ptr: must be text [type address ptr]" CHECK ("ptr" IS NULL OR instr("ptr", char(0)) = 0),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("network") REFERENCES "network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("vnic") REFERENCES "vnic" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "address.unique.0" ON "address" ("network", "ip");

CREATE INDEX "address.reference.vnic" ON "address" ("vnic");

CREATE TRIGGER "address.before.insert" BEFORE INSERT ON "address" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'address.uuid: exists already [key address]') WHERE EXISTS (SELECT 1 FROM "address" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'address.network, address.ip: exists already [unique address 0]') WHERE EXISTS (SELECT 1 FROM "address" WHERE "network" = NEW."network" AND "ip" = NEW."ip");
END;

CREATE TRIGGER "address.before.update" BEFORE UPDATE ON "address" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'address.uuid: cannot be changed [immutable address uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'address.network, address.ip: exists already [unique address 0]') WHERE (OLD."network" IS NOT NEW."network" OR OLD."ip" IS NOT NEW."ip") AND EXISTS (SELECT 1 FROM "address" WHERE "network" = NEW."network" AND "ip" = NEW."ip");
END;

CREATE TRIGGER "address.before.delete" BEFORE DELETE ON "address" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "address.after.insert" AFTER INSERT ON "address" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."ip";
  INSERT INTO "_inside" ("address", "range") SELECT NEW."ip", "range" FROM "network" WHERE "uuid" = NEW."network" AND "range" IS NOT NULL AND NEW."ip" IS NOT NULL;
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT p1."tenant" FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE it."uuid" = NEW."uuid") AND (q."network" IS NULL OR q."network" = NEW."network") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'address', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'network', NEW."network", 'vnic', NEW."vnic", 'ip', NEW."ip", 'ptr', NEW."ptr") FROM "_meta";
END;

CREATE TRIGGER "address.after.update" AFTER UPDATE ON "address" BEGIN
  INSERT INTO "_inet" ("value") SELECT NEW."ip" WHERE NEW."ip" IS NOT OLD."ip";
  INSERT INTO "_inside" ("address", "range") SELECT NEW."ip", "range" FROM "network" WHERE "uuid" = NEW."network" AND "range" IS NOT NULL AND NEW."ip" IS NOT NULL;
  SELECT RAISE(ABORT, 'address: a quota of ips would be exceeded [quota address 2]') WHERE (OLD."vnic" IS NOT NEW."vnic" OR OLD."network" IS NOT NEW."network") AND EXISTS (SELECT 1 FROM "quota" AS q WHERE q."type" = 'ips' AND q."tenant" = (SELECT p1."tenant" FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE it."uuid" = NEW."uuid") AND (q."network" IS NULL OR q."network" = NEW."network") AND q."limit" < (SELECT coalesce(sum(1), 0) FROM "address" AS it JOIN "vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")));
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'address', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'network', NEW."network", 'vnic', NEW."vnic", 'ip', NEW."ip", 'ptr', NEW."ptr") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."network" IS NOT NEW."network" OR OLD."vnic" IS NOT NEW."vnic" OR OLD."ip" IS NOT NEW."ip" OR OLD."ptr" IS NOT NEW."ptr";
END;

CREATE TRIGGER "address.after.delete" AFTER DELETE ON "address" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'address', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "affinity_group" (
  "uuid" TEXT NOT NULL CONSTRAINT "affinity_group.uuid: must be a UUID [type affinity_group uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "tenant" TEXT NOT NULL CONSTRAINT "affinity_group.tenant: must be a UUID [type affinity_group tenant]" CHECK ("tenant" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "name" TEXT NOT NULL CONSTRAINT "affinity_group.name: must be text [type affinity_group name]" CHECK (instr("name", char(0)) = 0),
  "type" TEXT NOT NULL CONSTRAINT "affinity_group.type: must be one of `affinity`, `anti-affinity` [type affinity_group type]" CHECK ("type" IN ('affinity', 'anti-affinity')),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("tenant") REFERENCES "tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE INDEX "affinity_group.reference.tenant" ON "affinity_group" ("tenant");

CREATE TRIGGER "affinity_group.before.insert" BEFORE INSERT ON "affinity_group" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'affinity_group.uuid: exists already [key affinity_group]') WHERE EXISTS (SELECT 1 FROM "affinity_group" WHERE "uuid" = NEW."uuid");
END;

CREATE TRIGGER "affinity_group.before.update" BEFORE UPDATE ON "affinity_group" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'affinity_group.uuid: cannot be changed [immutable affinity_group uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
END;

CREATE TRIGGER "affinity_group.before.delete" BEFORE DELETE ON "affinity_group" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "affinity_group.after.insert" AFTER INSERT ON "affinity_group" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'name', NEW."name", 'type', NEW."type") FROM "_meta";
END;

CREATE TRIGGER "affinity_group.after.update" AFTER UPDATE ON "affinity_group" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'tenant', NEW."tenant", 'name', NEW."name", 'type', NEW."type") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."tenant" IS NOT NEW."tenant" OR OLD."name" IS NOT NEW."name" OR OLD."type" IS NOT NEW."type";
END;

CREATE TRIGGER "affinity_group.after.delete" AFTER DELETE ON "affinity_group" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "affinity_group_instance" (
  "uuid" TEXT NOT NULL CONSTRAINT "affinity_group_instance.uuid: must be a UUID [type affinity_group_instance uuid]" CHECK ("uuid" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "affinity_group" TEXT NOT NULL CONSTRAINT "affinity_group_instance.affinity_group: must be a UUID [type affinity_group_instance affinity_group]" CHECK ("affinity_group" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT NOT NULL CONSTRAINT "affinity_group_instance.instance: must be a UUID [type affinity_group_instance instance]" CHECK ("instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  PRIMARY KEY ("uuid"),
  FOREIGN KEY ("affinity_group") REFERENCES "affinity_group" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  FOREIGN KEY ("instance") REFERENCES "instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE UNIQUE INDEX "affinity_group_instance.unique.0" ON "affinity_group_instance" ("affinity_group", "instance");

CREATE INDEX "affinity_group_instance.reference.instance" ON "affinity_group_instance" ("instance");

CREATE TRIGGER "affinity_group_instance.before.insert" BEFORE INSERT ON "affinity_group_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'affinity_group_instance.uuid: exists already [key affinity_group_instance]') WHERE EXISTS (SELECT 1 FROM "affinity_group_instance" WHERE "uuid" = NEW."uuid");
  SELECT RAISE(ABORT, 'affinity_group_instance.affinity_group, affinity_group_instance.instance: exists already [unique affinity_group_instance 0]') WHERE EXISTS (SELECT 1 FROM "affinity_group_instance" WHERE "affinity_group" = NEW."affinity_group" AND "instance" = NEW."instance");
END;

CREATE TRIGGER "affinity_group_instance.before.update" BEFORE UPDATE ON "affinity_group_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'affinity_group_instance.uuid: cannot be changed [immutable affinity_group_instance uuid]') WHERE OLD."uuid" IS NOT NEW."uuid";
  SELECT RAISE(ABORT, 'affinity_group_instance.affinity_group, affinity_group_instance.instance: exists already [unique affinity_group_instance 0]') WHERE (OLD."affinity_group" IS NOT NEW."affinity_group" OR OLD."instance" IS NOT NEW."instance") AND EXISTS (SELECT 1 FROM "affinity_group_instance" WHERE "affinity_group" = NEW."affinity_group" AND "instance" = NEW."instance");
END;

CREATE TRIGGER "affinity_group_instance.before.delete" BEFORE DELETE ON "affinity_group_instance" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "affinity_group_instance.after.insert" AFTER INSERT ON "affinity_group_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group_instance', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'affinity_group', NEW."affinity_group", 'instance', NEW."instance") FROM "_meta";
END;

CREATE TRIGGER "affinity_group_instance.after.update" AFTER UPDATE ON "affinity_group_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group_instance', json_array(NEW."uuid"), json_object('uuid', NEW."uuid", 'affinity_group', NEW."affinity_group", 'instance', NEW."instance") FROM "_meta" WHERE OLD."uuid" IS NOT NEW."uuid" OR OLD."affinity_group" IS NOT NEW."affinity_group" OR OLD."instance" IS NOT NEW."instance";
END;

CREATE TRIGGER "affinity_group_instance.after.delete" AFTER DELETE ON "affinity_group_instance" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'affinity_group_instance', json_array(OLD."uuid"), NULL FROM "_meta";
END;

CREATE TABLE "event" (
  "hash" TEXT NOT NULL CONSTRAINT "event.hash: must be text [type event hash]" CHECK (instr("hash", char(0)) = 0),
  "ctime" INTEGER NOT NULL,
  "mtime" INTEGER NOT NULL,
  "count" INTEGER NOT NULL DEFAULT 1,
  "type" TEXT NOT NULL CONSTRAINT "event.type: must be text [type event type]" CHECK (instr("type", char(0)) = 0),
  "host" TEXT NOT NULL CONSTRAINT "event.host: must be a UUID [type event host]" CHECK ("host" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "instance" TEXT CONSTRAINT "event.instance: must be a UUID [type event instance]" CHECK ("instance" IS NULL OR "instance" GLOB '[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f]-[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]'),
  "data" TEXT NOT NULL DEFAULT '{}' CONSTRAINT "event.data: must be a JSON value [type event data]" CHECK (CASE WHEN json_valid("data") THEN json_type("data") <> 'null' ELSE 0 END),
  PRIMARY KEY ("hash")
) STRICT;

CREATE TRIGGER "event.before.insert" BEFORE INSERT ON "event" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'event.hash: exists already [key event]') WHERE EXISTS (SELECT 1 FROM "event" WHERE "hash" = NEW."hash");
END;

CREATE TRIGGER "event.before.update" BEFORE UPDATE ON "event" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
  SELECT RAISE(ABORT, 'event.hash: cannot be changed [immutable event hash]') WHERE OLD."hash" IS NOT NEW."hash";
END;

CREATE TRIGGER "event.before.delete" BEFORE DELETE ON "event" BEGIN
  SELECT RAISE(ABORT, 'references are not enforced on this connection: say PRAGMA foreign_keys = ON first [foreign-keys]') WHERE (SELECT "foreign_keys" FROM pragma_foreign_keys) = 0;
END;

CREATE TRIGGER "event.after.insert" AFTER INSERT ON "event" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'event', json_array(NEW."hash"), json_object('hash', NEW."hash", 'ctime', NEW."ctime", 'mtime', NEW."mtime", 'count', NEW."count", 'type', NEW."type", 'host', NEW."host", 'instance', NEW."instance", 'data', NEW."data" || '') FROM "_meta";
END;

CREATE TRIGGER "event.after.update" AFTER UPDATE ON "event" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'event', json_array(NEW."hash"), json_object('hash', NEW."hash", 'ctime', NEW."ctime", 'mtime', NEW."mtime", 'count', NEW."count", 'type', NEW."type", 'host', NEW."host", 'instance', NEW."instance", 'data', NEW."data" || '') FROM "_meta" WHERE OLD."hash" IS NOT NEW."hash" OR OLD."ctime" IS NOT NEW."ctime" OR OLD."mtime" IS NOT NEW."mtime" OR OLD."count" IS NOT NEW."count" OR OLD."type" IS NOT NEW."type" OR OLD."host" IS NOT NEW."host" OR OLD."instance" IS NOT NEW."instance" OR OLD."data" IS NOT NEW."data";
END;

CREATE TRIGGER "event.after.delete" AFTER DELETE ON "event" BEGIN
  INSERT INTO "_outbox" ("txn", "table", "key", "row") SELECT "txn", 'event', json_array(OLD."hash"), NULL FROM "_meta";
END;
