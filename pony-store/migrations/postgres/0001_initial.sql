CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE "public"."_migration" (
  "version" integer PRIMARY KEY,
  "name" text NOT NULL,
  "applied_at" timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE "public"."_meta" (
  "one" boolean PRIMARY KEY DEFAULT true CHECK ("one"),
  "identity" uuid NOT NULL DEFAULT gen_random_uuid(),
  "epoch" bigint NOT NULL DEFAULT 0,
  "holder" uuid,
  "holder_name" text,
  "expires" timestamptz NOT NULL DEFAULT '-infinity',
  "trimmed" bigint NOT NULL DEFAULT 0
);

INSERT INTO "public"."_meta" DEFAULT VALUES;

CREATE TABLE "public"."_outbox" (
  "seq" bigint PRIMARY KEY,
  "txn" bigint NOT NULL,
  "table" text NOT NULL,
  "key" jsonb NOT NULL,
  "row" jsonb
);

CREATE SEQUENCE "public"."_outbox_seq";

CREATE FUNCTION "public"."_order"() RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'desired state is written in READ COMMITTED transactions only, not in %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = '25001', HINT = 'What others have committed meanwhile could not be checked against.';
  END IF;
  PERFORM pg_advisory_xact_lock(1349480057);
END
$body$;

CREATE FUNCTION "public"."_no_truncate"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  RAISE EXCEPTION '%: cannot be truncated: nobody would be told; use DELETE', TG_TABLE_NAME USING ERRCODE = '0A000';
END
$body$;

CREATE FUNCTION "public"."_fence"(leader bigint, OUT txn bigint, OUT newest bigint) LANGUAGE plpgsql AS $body$
DECLARE epoch bigint;
BEGIN
  PERFORM "public"."_order"();
  SELECT it.epoch INTO epoch FROM "public"."_meta" AS it;
  IF epoch <> leader THEN
    RAISE EXCEPTION 'epoch % is over: epoch % has begun', leader, epoch USING ERRCODE = '23PY9';
  END IF;
  SELECT greatest(coalesce(max(it.seq), 0), (SELECT trimmed FROM "public"."_meta")) INTO newest FROM "public"."_outbox" AS it;
  txn := pg_current_xact_id()::text::bigint;
END
$body$;

CREATE FUNCTION "public"."_lead"(claimant uuid, name text, ttl_ms bigint, OUT epoch bigint, OUT leader text) LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  UPDATE "public"."_meta" AS it SET epoch = it.epoch + 1, holder = claimant, holder_name = name, expires = clock_timestamp() + ttl_ms * interval '1 ms'
    WHERE it.holder IS NULL OR it.holder = claimant OR it.expires < clock_timestamp()
    RETURNING it.epoch INTO epoch;
  SELECT it.holder_name INTO leader FROM "public"."_meta" AS it;
END
$body$;

CREATE FUNCTION "public"."_forget"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  UPDATE "public"."_meta" SET trimmed = it.last FROM (SELECT max(seq) AS last FROM gone) AS it WHERE it.last > trimmed;
  RETURN NULL;
END
$body$;

CREATE FUNCTION "public"."_forget_all"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  UPDATE "public"."_meta" SET trimmed = it.last FROM (SELECT last_value AS last FROM "public"."_outbox_seq") AS it WHERE it.last > trimmed;
  RETURN NULL;
END
$body$;

CREATE TRIGGER "forget" AFTER DELETE ON "public"."_outbox" REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION "public"."_forget"();

CREATE TRIGGER "forget all" AFTER TRUNCATE ON "public"."_outbox" FOR EACH STATEMENT EXECUTE FUNCTION "public"."_forget_all"();

CREATE TABLE "public"."user" (
  "email" text COLLATE "C" NOT NULL,
  "data" jsonb NOT NULL DEFAULT '{}',
  "alicorn" boolean NOT NULL DEFAULT false,
  CONSTRAINT "user: the key must be unique" PRIMARY KEY ("email"),
  CONSTRAINT "user.data: must be a JSON value" CHECK (jsonb_typeof("data") <> 'null')
);

CREATE TABLE "public"."token_key" (
  "uuid" uuid NOT NULL,
  "secret" text COLLATE "C" NOT NULL DEFAULT '',
  "created" bigint NOT NULL DEFAULT 0,
  CONSTRAINT "token_key: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TABLE "public"."tenant" (
  "uuid" uuid NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "approved" boolean NOT NULL DEFAULT false,
  CONSTRAINT "tenant: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TYPE "public"."member.role" AS ENUM ('owner', 'admin', 'operator');

CREATE TABLE "public"."member" (
  "uuid" uuid NOT NULL,
  "user" text COLLATE "C" NOT NULL,
  "tenant" uuid NOT NULL,
  "role" "public"."member.role" NOT NULL,
  CONSTRAINT "member: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "member.user, tenant: must be unique" UNIQUE ("user", "tenant")
);

CREATE TABLE "public"."config" (
  "key" text COLLATE "C" NOT NULL,
  "value" jsonb NOT NULL,
  CONSTRAINT "config: the key must be unique" PRIMARY KEY ("key"),
  CONSTRAINT "config.value: must be a JSON value" CHECK (jsonb_typeof("value") <> 'null')
);

CREATE TYPE "public"."host.state" AS ENUM ('present', 'evacuated');

CREATE TABLE "public"."host" (
  "uuid" uuid NOT NULL,
  "state" "public"."host.state" NOT NULL DEFAULT 'present',
  "name" text COLLATE "C",
  "info" text COLLATE "C",
  "fencing" jsonb NOT NULL DEFAULT '{}',
  "key" text COLLATE "C",
  CONSTRAINT "host: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "host.fencing: must be a JSON value" CHECK (jsonb_typeof("fencing") <> 'null')
);

CREATE TABLE "public"."cpu_profile" (
  "uuid" uuid NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "model" text COLLATE "C" NOT NULL,
  "features" text[] COLLATE "C" NOT NULL DEFAULT ARRAY[]::text[],
  CONSTRAINT "cpu_profile: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "cpu_profile.features: must be a list, each item text" CHECK (((array_ndims("features") IS NOT DISTINCT FROM 1 OR cardinality("features") = 0) AND array_position("features", NULL) IS NULL) OR "features" IS NULL)
);

CREATE TYPE "public"."bond.mode" AS ENUM ('active-backup', '802.3ad');

CREATE TYPE "public"."bond.lacp_rate" AS ENUM ('slow', 'fast');

CREATE TYPE "public"."bond.xmit_hash_policy" AS ENUM ('layer2', 'layer2+3', 'layer3+4');

CREATE TABLE "public"."bond" (
  "uuid" uuid NOT NULL,
  "host" uuid NOT NULL,
  "mode" "public"."bond.mode" NOT NULL DEFAULT 'active-backup',
  "lacp_rate" "public"."bond.lacp_rate",
  "xmit_hash_policy" "public"."bond.xmit_hash_policy",
  CONSTRAINT "bond: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TABLE "public"."nic" (
  "hwaddr" macaddr NOT NULL,
  "host" uuid NOT NULL,
  "bond" uuid,
  CONSTRAINT "nic: the key must be unique" PRIMARY KEY ("hwaddr")
);

CREATE TABLE "public"."vlan" (
  "bond" uuid NOT NULL,
  "tag" bigint NOT NULL,
  CONSTRAINT "vlan: the key must be unique" PRIMARY KEY ("bond", "tag"),
  CONSTRAINT "vlan: tag must be 1 to 4094" CHECK ("tag" BETWEEN 1 AND 4094)
);

CREATE TYPE "public"."net_role.role" AS ENUM ('management', 'core', 'virtual', 'storage', 'public');

CREATE TABLE "public"."net_role" (
  "uuid" uuid NOT NULL,
  "bond" uuid NOT NULL,
  "vlan_id" bigint,
  "role" "public"."net_role.role" NOT NULL,
  "address" inet,
  CONSTRAINT "net_role: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "net_role: vlan_id must be 1 to 4094" CHECK ("vlan_id" IS NULL OR "vlan_id" BETWEEN 1 AND 4094),
  CONSTRAINT "net_role.bond, vlan_id, role: must be unique" UNIQUE NULLS NOT DISTINCT ("bond", "vlan_id", "role")
);

CREATE TYPE "public"."storage_pool.type" AS ENUM ('dir', 'btrfs', 'lvm', 'plvm', 'iscsi', 'fc', 'nfs', 'rbd', 'sheepdog', 'glusterfs', 'zfs');

CREATE TABLE "public"."storage_pool" (
  "uuid" uuid NOT NULL,
  "type" "public"."storage_pool.type" NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "host" uuid,
  "config" jsonb NOT NULL DEFAULT '{}',
  "shareable" boolean NOT NULL DEFAULT false,
  "size" bigint,
  CONSTRAINT "storage_pool: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "storage_pool.config: must be a JSON value" CHECK (jsonb_typeof("config") <> 'null'),
  CONSTRAINT "storage_pool: size must be 1 to 8796093022207" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 8796093022207)
);

CREATE TYPE "public"."disk.type" AS ENUM ('local', 'fc', 'iscsi');

CREATE TABLE "public"."disk" (
  "id" text COLLATE "C" NOT NULL,
  "type" "public"."disk.type" NOT NULL,
  "targets" text[] COLLATE "C",
  "storage_pool" uuid,
  "host" uuid,
  "size" bigint,
  CONSTRAINT "disk: the key must be unique" PRIMARY KEY ("id"),
  CONSTRAINT "disk.targets: must be a list, each item text" CHECK (((array_ndims("targets") IS NOT DISTINCT FROM 1 OR cardinality("targets") = 0) AND array_position("targets", NULL) IS NULL) OR "targets" IS NULL),
  CONSTRAINT "disk: targets are for fc and iscsi disks only" CHECK ("type" <> 'local' OR "targets" IS NULL),
  CONSTRAINT "disk: size must be 1 to 8796093022207" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 8796093022207)
);

CREATE TABLE "public"."image" (
  "uuid" uuid NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "description" text COLLATE "C",
  "tenant" uuid,
  "source_uri" text COLLATE "C",
  CONSTRAINT "image: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TABLE "public"."host_image" (
  "host" uuid NOT NULL,
  "image" uuid NOT NULL,
  "volume" uuid NOT NULL,
  "source" uuid NOT NULL,
  "way" text COLLATE "C" NOT NULL,
  "origin" text COLLATE "C" NOT NULL,
  CONSTRAINT "host_image: the key must be unique" PRIMARY KEY ("host", "image")
);

CREATE TYPE "public"."volume.state" AS ENUM ('present', 'optional', 'deleted');

CREATE TYPE "public"."volume.format" AS ENUM ('raw', 'qcow2');

CREATE TABLE "public"."volume" (
  "uuid" uuid NOT NULL,
  "name" text COLLATE "C",
  "state" "public"."volume.state" NOT NULL DEFAULT 'present',
  "size" bigint,
  "storage_pool" uuid NOT NULL,
  "format" "public"."volume.format",
  "base_image" uuid,
  "base_volume" uuid,
  "image" uuid,
  "tenant" uuid,
  CONSTRAINT "volume: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "volume: size is needed, but for a volume that backs an image" CHECK ("size" IS NOT NULL OR "image" IS NOT NULL OR "state" = 'deleted'),
  CONSTRAINT "volume: base_image and base_volume exclude each other" CHECK ("base_image" IS NULL OR "base_volume" IS NULL),
  CONSTRAINT "volume: size must be 1 to 2147483648" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 2147483648)
);

CREATE TYPE "public"."host_volume.hold" AS ENUM ('whole', 'use', 'incoming', 'released', 'look');

CREATE TABLE "public"."host_volume" (
  "host" uuid NOT NULL,
  "volume" uuid NOT NULL,
  "hold" "public"."host_volume.hold" NOT NULL,
  "sharer" uuid,
  "made" boolean NOT NULL DEFAULT false,
  "serial" bigint NOT NULL DEFAULT 0,
  "storage_pool" uuid,
  CONSTRAINT "host_volume: the key must be unique" PRIMARY KEY ("host", "volume"),
  CONSTRAINT "host_volume.volume, sharer: must be unique" UNIQUE NULLS NOT DISTINCT ("volume", "sharer")
);

CREATE TABLE "public"."extent" (
  "uuid" uuid NOT NULL,
  "storage_pool" uuid NOT NULL,
  "disk" text COLLATE "C" NOT NULL,
  "range" int8range NOT NULL,
  "volume" uuid,
  "order" bigint NOT NULL,
  "made" boolean NOT NULL DEFAULT false,
  CONSTRAINT "extent: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "extent.range: must be a range `[start, end]` of two whole numbe" CHECK (NOT isempty("range") AND NOT lower_inf("range") AND NOT upper_inf("range")),
  CONSTRAINT "extent: order must not be negative" CHECK ("order" >= 0),
  CONSTRAINT "extent.range: must not overlap in one disk" EXCLUDE USING gist ("disk" WITH =, "range" WITH &&)
);

CREATE TYPE "public"."switch.type" AS ENUM ('bridge', 'vxlan');

CREATE TABLE "public"."switch" (
  "uuid" uuid NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "tenant" uuid,
  "type" "public"."switch.type" NOT NULL,
  "tag" bigint,
  CONSTRAINT "switch: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "switch: tag must be 1 to 4094 for a bridge and 1 to 16777215 fo" CHECK ("tag" IS NULL OR ("type" = 'bridge' AND "tag" BETWEEN 1 AND 4094) OR ("type" = 'vxlan' AND "tag" BETWEEN 1 AND 16777215)),
  CONSTRAINT "switch.tenant, name: must be unique" UNIQUE NULLS NOT DISTINCT ("tenant", "name"),
  CONSTRAINT "switch.type, tag: must be unique" UNIQUE ("type", "tag")
);

CREATE TABLE "public"."switch_tenant" (
  "switch" uuid NOT NULL,
  "tenant" uuid NOT NULL,
  CONSTRAINT "switch_tenant: the key must be unique" PRIMARY KEY ("switch", "tenant")
);

CREATE TABLE "public"."network" (
  "uuid" uuid NOT NULL,
  "switch" uuid NOT NULL,
  "vlan_tag" bigint,
  "range" cidr NOT NULL,
  CONSTRAINT "network: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "network: vlan_tag must be 1 to 4094" CHECK ("vlan_tag" IS NULL OR "vlan_tag" BETWEEN 1 AND 4094)
);

CREATE TABLE "public"."route" (
  "uuid" uuid NOT NULL,
  "network" uuid NOT NULL,
  "route" cidr NOT NULL,
  "via" inet NOT NULL,
  CONSTRAINT "route: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TYPE "public"."quota.type" AS ENUM ('storage', 'vcpu', 'rcpu', 'mem', 'instances', 'ips', 'switches');

CREATE TABLE "public"."quota" (
  "uuid" uuid NOT NULL,
  "tenant" uuid NOT NULL,
  "type" "public"."quota.type" NOT NULL,
  "limit" double precision NOT NULL,
  "storage_pool" uuid,
  "cpu_profile" uuid,
  "network" uuid,
  CONSTRAINT "quota: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "quota.limit: must be a number" CHECK ("limit" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  CONSTRAINT "quota: limit must not be negative" CHECK ("limit" >= 0),
  CONSTRAINT "quota: storage_pool narrows limits of storage only" CHECK ("storage_pool" IS NULL OR "type" = 'storage'),
  CONSTRAINT "quota: cpu_profile narrows limits of vcpu, rcpu, mem and instan" CHECK ("cpu_profile" IS NULL OR "type" IN ('vcpu', 'rcpu', 'mem', 'instances')),
  CONSTRAINT "quota: network narrows limits of ips only" CHECK ("network" IS NULL OR "type" = 'ips'),
  CONSTRAINT "quota.tenant, type, storage_pool, cpu_profile, network: must be" UNIQUE NULLS NOT DISTINCT ("tenant", "type", "storage_pool", "cpu_profile", "network")
);

CREATE TYPE "public"."metering.type" AS ENUM ('storage', 'vcpu', 'rcpu', 'mem', 'instances', 'ips', 'switches');

CREATE TABLE "public"."metering" (
  "uuid" uuid NOT NULL,
  "tenant" uuid NOT NULL,
  "type" "public"."metering.type" NOT NULL,
  "kind" jsonb NOT NULL DEFAULT '{}',
  "amount" double precision NOT NULL,
  "target" uuid,
  "start" bigint NOT NULL,
  "end" bigint,
  CONSTRAINT "metering: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "metering.kind: must be a JSON value" CHECK (jsonb_typeof("kind") <> 'null'),
  CONSTRAINT "metering.amount: must be a number" CHECK ("amount" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  CONSTRAINT "metering: end must not be before start" CHECK ("end" IS NULL OR "end" >= "start")
);

CREATE TYPE "public"."instance.state" AS ENUM ('running', 'paused', 'stopped');

CREATE TYPE "public"."instance.boot" AS ENUM ('disk', 'network');

CREATE TYPE "public"."instance.firmware" AS ENUM ('bios', 'uefi');

CREATE TABLE "public"."instance" (
  "uuid" uuid NOT NULL,
  "tenant" uuid,
  "name" text COLLATE "C" NOT NULL,
  "state" "public"."instance.state" NOT NULL DEFAULT 'stopped',
  "vcpu" bigint NOT NULL,
  "rcpu" double precision NOT NULL,
  "mem" bigint NOT NULL,
  "ns" inet[] NOT NULL DEFAULT ARRAY[]::inet[],
  "cpu_profile" uuid,
  "boot" "public"."instance.boot" NOT NULL DEFAULT 'disk',
  "firmware" "public"."instance.firmware" NOT NULL DEFAULT 'bios',
  "user_data" text COLLATE "C",
  CONSTRAINT "instance: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "instance.rcpu: must be a number" CHECK ("rcpu" BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308),
  CONSTRAINT "instance.ns: must be a list, each item an IP address like `192." CHECK (((array_ndims("ns") IS NOT DISTINCT FROM 1 OR cardinality("ns") = 0) AND array_position("ns", NULL) IS NULL) OR "ns" IS NULL),
  CONSTRAINT "instance: rcpu must be positive" CHECK ("rcpu" > 0),
  CONSTRAINT "instance: rcpu must not exceed vcpu" CHECK ("rcpu" <= "vcpu"),
  CONSTRAINT "instance: vcpu must be 1 to 255" CHECK ("vcpu" BETWEEN 1 AND 255),
  CONSTRAINT "instance: mem must be 1 to 16777216" CHECK ("mem" BETWEEN 1 AND 16777216),
  CONSTRAINT "instance.tenant, name: must be unique" UNIQUE NULLS NOT DISTINCT ("tenant", "name")
);

CREATE TABLE "public"."host_instance" (
  "host" uuid NOT NULL,
  "instance" uuid NOT NULL,
  "released" boolean NOT NULL DEFAULT false,
  "serial" bigint NOT NULL DEFAULT 0,
  "target" uuid,
  "cancelled" boolean NOT NULL DEFAULT false,
  "way" text COLLATE "C",
  "origin" text COLLATE "C",
  CONSTRAINT "host_instance: the key must be unique" PRIMARY KEY ("host", "instance"),
  CONSTRAINT "host_instance.instance: must be unique" UNIQUE ("instance")
);

CREATE TABLE "public"."pin" (
  "uuid" uuid NOT NULL,
  "instance" uuid NOT NULL,
  "host" uuid NOT NULL,
  CONSTRAINT "pin: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "pin.instance: must be unique" UNIQUE ("instance")
);

CREATE TABLE "public"."vdisk" (
  "uuid" uuid NOT NULL,
  "instance" uuid NOT NULL,
  "volume" uuid,
  "image" uuid,
  "storage_pool" uuid,
  "size" bigint,
  "index" bigint NOT NULL,
  CONSTRAINT "vdisk: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "vdisk: exactly one of volume and image is needed or, in a templ" CHECK (("volume" IS NOT NULL AND "image" IS NULL AND "storage_pool" IS NULL AND "size" IS NULL) OR ("volume" IS NULL AND "image" IS NOT NULL AND "storage_pool" IS NULL AND "size" IS NULL) OR ("volume" IS NULL AND "image" IS NULL AND "storage_pool" IS NOT NULL AND "size" IS NOT NULL)),
  CONSTRAINT "vdisk: size must be 1 to 2147483648" CHECK ("size" IS NULL OR "size" BETWEEN 1 AND 2147483648),
  CONSTRAINT "vdisk: index must be 0 to 255" CHECK ("index" BETWEEN 0 AND 255),
  CONSTRAINT "vdisk.instance, index: must be unique" UNIQUE ("instance", "index")
);

CREATE TABLE "public"."vnic" (
  "uuid" uuid NOT NULL,
  "instance" uuid NOT NULL,
  "switch" uuid NOT NULL,
  "macaddr" macaddr,
  "index" bigint NOT NULL,
  CONSTRAINT "vnic: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "vnic: index must be 0 to 255" CHECK ("index" BETWEEN 0 AND 255),
  CONSTRAINT "vnic.instance, index: must be unique" UNIQUE ("instance", "index")
);

CREATE TABLE "public"."switch_port" (
  "vnic" uuid NOT NULL,
  "switch" uuid NOT NULL,
  "host" uuid NOT NULL,
  "address" inet NOT NULL,
  "macaddr" macaddr NOT NULL,
  "ips" inet[] NOT NULL DEFAULT ARRAY[]::inet[],
  CONSTRAINT "switch_port: the key must be unique" PRIMARY KEY ("vnic"),
  CONSTRAINT "switch_port.ips: must be a list, each item an IP address like `" CHECK (((array_ndims("ips") IS NOT DISTINCT FROM 1 OR cardinality("ips") = 0) AND array_position("ips", NULL) IS NULL) OR "ips" IS NULL)
);

CREATE TABLE "public"."address" (
  "uuid" uuid NOT NULL,
  "network" uuid NOT NULL,
  "vnic" uuid,
  "ip" inet,
  "ptr" text COLLATE "C",
  CONSTRAINT "address: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "address.network, ip: must be unique" UNIQUE ("network", "ip")
);

CREATE TYPE "public"."affinity_group.type" AS ENUM ('affinity', 'anti-affinity');

CREATE TABLE "public"."affinity_group" (
  "uuid" uuid NOT NULL,
  "tenant" uuid NOT NULL,
  "name" text COLLATE "C" NOT NULL,
  "type" "public"."affinity_group.type" NOT NULL,
  CONSTRAINT "affinity_group: the key must be unique" PRIMARY KEY ("uuid")
);

CREATE TABLE "public"."affinity_group_instance" (
  "uuid" uuid NOT NULL,
  "affinity_group" uuid NOT NULL,
  "instance" uuid NOT NULL,
  CONSTRAINT "affinity_group_instance: the key must be unique" PRIMARY KEY ("uuid"),
  CONSTRAINT "affinity_group_instance.affinity_group, instance: must be uniqu" UNIQUE ("affinity_group", "instance")
);

CREATE TABLE "public"."event" (
  "hash" text COLLATE "C" NOT NULL,
  "ctime" bigint NOT NULL,
  "mtime" bigint NOT NULL,
  "count" bigint NOT NULL DEFAULT 1,
  "type" text COLLATE "C" NOT NULL,
  "host" uuid NOT NULL,
  "instance" uuid,
  "data" jsonb NOT NULL DEFAULT '{}',
  CONSTRAINT "event: the key must be unique" PRIMARY KEY ("hash"),
  CONSTRAINT "event.data: must be a JSON value" CHECK (jsonb_typeof("data") <> 'null')
);

CREATE FUNCTION "public"."_feed_user"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'user', jsonb_build_array(OLD."email"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'user', jsonb_build_array(NEW."email"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."user" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_user"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."user" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_user"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."user" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_user"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."email" IS DISTINCT FROM NEW."email" THEN
    RAISE EXCEPTION 'user.email: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'user', COLUMN = 'email';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."user" FOR EACH ROW WHEN (OLD."email" IS DISTINCT FROM NEW."email") EXECUTE FUNCTION "public"."_keep_user"();

CREATE FUNCTION "public"."_feed_token_key"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'token_key', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'token_key', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."token_key" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_token_key"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."token_key" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_token_key"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."token_key" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_token_key"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'token_key.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'token_key', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."token_key" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_token_key"();

CREATE FUNCTION "public"."_feed_tenant"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'tenant', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'tenant', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."tenant" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_tenant"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."tenant" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_tenant"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."tenant" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_tenant"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'tenant.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'tenant', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."tenant" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_tenant"();

ALTER TABLE "public"."member" ADD CONSTRAINT "member.user: needs its user" FOREIGN KEY ("user") REFERENCES "public"."user" ("email") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."member" ADD CONSTRAINT "member.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "member.tenant: reference" ON "public"."member" ("tenant");

CREATE FUNCTION "public"."_feed_member"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'member', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'member', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."member" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_member"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."member" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_member"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."member" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_member"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'member.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'member', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."member" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_member"();

CREATE FUNCTION "public"."_feed_config"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'config', jsonb_build_array(OLD."key"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'config', jsonb_build_array(NEW."key"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."config" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_config"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."config" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_config"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."config" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_config"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."key" IS DISTINCT FROM NEW."key" THEN
    RAISE EXCEPTION 'config.key: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'config', COLUMN = 'key';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."config" FOR EACH ROW WHEN (OLD."key" IS DISTINCT FROM NEW."key") EXECUTE FUNCTION "public"."_keep_config"();

CREATE FUNCTION "public"."_feed_host"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."host" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_host"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."host" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_host"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."host" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_host"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'host.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."host" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_host"();

CREATE FUNCTION "public"."_feed_cpu_profile"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'cpu_profile', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'cpu_profile', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."cpu_profile" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_cpu_profile"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."cpu_profile" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_cpu_profile"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."cpu_profile" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_cpu_profile"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'cpu_profile.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'cpu_profile', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."cpu_profile" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_cpu_profile"();

ALTER TABLE "public"."bond" ADD CONSTRAINT "bond.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "bond.host: reference" ON "public"."bond" ("host");

CREATE FUNCTION "public"."_feed_bond"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'bond', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'bond', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."bond" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_bond"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."bond" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_bond"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."bond" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_bond"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'bond.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'bond', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."bond" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_bond"();

ALTER TABLE "public"."nic" ADD CONSTRAINT "nic.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."nic" ADD CONSTRAINT "nic.bond: needs its bond" FOREIGN KEY ("bond") REFERENCES "public"."bond" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "nic.host: reference" ON "public"."nic" ("host");

CREATE INDEX "nic.bond: reference" ON "public"."nic" ("bond");

CREATE FUNCTION "public"."_feed_nic"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'nic', jsonb_build_array(OLD."hwaddr"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'nic', jsonb_build_array(NEW."hwaddr"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."nic" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_nic"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."nic" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_nic"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."nic" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_nic"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."hwaddr" IS DISTINCT FROM NEW."hwaddr" THEN
    RAISE EXCEPTION 'nic.hwaddr: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'nic', COLUMN = 'hwaddr';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."nic" FOR EACH ROW WHEN (OLD."hwaddr" IS DISTINCT FROM NEW."hwaddr") EXECUTE FUNCTION "public"."_keep_nic"();

ALTER TABLE "public"."vlan" ADD CONSTRAINT "vlan.bond: needs its bond" FOREIGN KEY ("bond") REFERENCES "public"."bond" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE FUNCTION "public"."_feed_vlan"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vlan', jsonb_build_array(OLD."bond", OLD."tag"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vlan', jsonb_build_array(NEW."bond", NEW."tag"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."vlan" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_vlan"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."vlan" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_vlan"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."vlan" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_vlan"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."bond" IS DISTINCT FROM NEW."bond" THEN
    RAISE EXCEPTION 'vlan.bond: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'vlan', COLUMN = 'bond';
  END IF;
  IF OLD."tag" IS DISTINCT FROM NEW."tag" THEN
    RAISE EXCEPTION 'vlan.tag: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'vlan', COLUMN = 'tag';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."vlan" FOR EACH ROW WHEN (OLD."bond" IS DISTINCT FROM NEW."bond" OR OLD."tag" IS DISTINCT FROM NEW."tag") EXECUTE FUNCTION "public"."_keep_vlan"();

ALTER TABLE "public"."net_role" ADD CONSTRAINT "net_role.bond: needs its bond" FOREIGN KEY ("bond") REFERENCES "public"."bond" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "net_role.bond: reference" ON "public"."net_role" ("bond");

CREATE FUNCTION "public"."_feed_net_role"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'net_role', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'net_role', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."net_role" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_net_role"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."net_role" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_net_role"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."net_role" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_net_role"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'net_role.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'net_role', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."net_role" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_net_role"();

ALTER TABLE "public"."storage_pool" ADD CONSTRAINT "storage_pool.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "storage_pool.host: reference" ON "public"."storage_pool" ("host");

CREATE FUNCTION "public"."_feed_storage_pool"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'storage_pool', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'storage_pool', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."storage_pool" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_storage_pool"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."storage_pool" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_storage_pool"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."storage_pool" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_storage_pool"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'storage_pool.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'storage_pool', COLUMN = 'uuid';
  END IF;
  IF OLD."type" IS DISTINCT FROM NEW."type" THEN
    RAISE EXCEPTION 'storage_pool.type: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'storage_pool', COLUMN = 'type';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."storage_pool" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid" OR OLD."type" IS DISTINCT FROM NEW."type") EXECUTE FUNCTION "public"."_keep_storage_pool"();

ALTER TABLE "public"."disk" ADD CONSTRAINT "disk.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."disk" ADD CONSTRAINT "disk.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "disk.storage_pool: reference" ON "public"."disk" ("storage_pool");

CREATE INDEX "disk.host: reference" ON "public"."disk" ("host");

CREATE FUNCTION "public"."_feed_disk"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'disk', jsonb_build_array(OLD."id"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'disk', jsonb_build_array(NEW."id"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."disk" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_disk"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."disk" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_disk"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."disk" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_disk"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."id" IS DISTINCT FROM NEW."id" THEN
    RAISE EXCEPTION 'disk.id: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'disk', COLUMN = 'id';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."disk" FOR EACH ROW WHEN (OLD."id" IS DISTINCT FROM NEW."id") EXECUTE FUNCTION "public"."_keep_disk"();

ALTER TABLE "public"."image" ADD CONSTRAINT "image.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "image.tenant: reference" ON "public"."image" ("tenant");

CREATE FUNCTION "public"."_feed_image"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'image', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'image', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."image" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_image"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."image" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_image"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."image" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_image"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'image.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'image', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."image" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_image"();

ALTER TABLE "public"."host_image" ADD CONSTRAINT "host_image.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_image" ADD CONSTRAINT "host_image.image: needs its image" FOREIGN KEY ("image") REFERENCES "public"."image" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_image" ADD CONSTRAINT "host_image.volume: needs its volume" FOREIGN KEY ("volume") REFERENCES "public"."volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_image" ADD CONSTRAINT "host_image.source: needs its host" FOREIGN KEY ("source") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "host_image.image: reference" ON "public"."host_image" ("image");

CREATE INDEX "host_image.volume: reference" ON "public"."host_image" ("volume");

CREATE INDEX "host_image.source: reference" ON "public"."host_image" ("source");

CREATE FUNCTION "public"."_feed_host_image"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_image', jsonb_build_array(OLD."host", OLD."image"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_image', jsonb_build_array(NEW."host", NEW."image"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."host_image" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_host_image"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."host_image" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_host_image"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."host_image" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_host_image"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."host" IS DISTINCT FROM NEW."host" THEN
    RAISE EXCEPTION 'host_image.host: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_image', COLUMN = 'host';
  END IF;
  IF OLD."image" IS DISTINCT FROM NEW."image" THEN
    RAISE EXCEPTION 'host_image.image: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_image', COLUMN = 'image';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."host_image" FOR EACH ROW WHEN (OLD."host" IS DISTINCT FROM NEW."host" OR OLD."image" IS DISTINCT FROM NEW."image") EXECUTE FUNCTION "public"."_keep_host_image"();

ALTER TABLE "public"."volume" ADD CONSTRAINT "volume.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."volume" ADD CONSTRAINT "volume.base_image: needs its image" FOREIGN KEY ("base_image") REFERENCES "public"."image" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."volume" ADD CONSTRAINT "volume.base_volume: needs its volume" FOREIGN KEY ("base_volume") REFERENCES "public"."volume" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."volume" ADD CONSTRAINT "volume.image: needs its image" FOREIGN KEY ("image") REFERENCES "public"."image" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."volume" ADD CONSTRAINT "volume.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "volume.storage_pool: reference" ON "public"."volume" ("storage_pool");

CREATE INDEX "volume.base_image: reference" ON "public"."volume" ("base_image");

CREATE INDEX "volume.base_volume: reference" ON "public"."volume" ("base_volume");

CREATE INDEX "volume.image: reference" ON "public"."volume" ("image");

CREATE INDEX "volume.tenant: reference" ON "public"."volume" ("tenant");

CREATE FUNCTION "public"."_feed_volume"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'volume', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'volume', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_volume"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_volume"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."volume" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_volume"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'volume.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'volume', COLUMN = 'uuid';
  END IF;
  IF OLD."format" IS DISTINCT FROM NEW."format" THEN
    RAISE EXCEPTION 'volume.format: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'volume', COLUMN = 'format';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."volume" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid" OR OLD."format" IS DISTINCT FROM NEW."format") EXECUTE FUNCTION "public"."_keep_volume"();

CREATE FUNCTION "public"."_quota_volume_2"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."volume" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool") WHERE it."uuid" = NEW."uuid" AND it."state" = 'present' LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."volume" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(coalesce(it."size", 0)), 0) FROM "public"."volume" AS it WHERE it."tenant" = q."tenant" AND it."state" = 'present' AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND it."state" = 'present' AND strpos(checked, ';' || 'volume 2' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'storage' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'volume: a quota of storage would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'volume 2', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('volume 2' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."volume" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."storage_pool" IS NULL OR q."storage_pool" = it."storage_pool") WHERE it."uuid" = NEW."uuid" AND it."state" = 'present' AND q."type" = 'storage' AND strpos(checked, ';' || 'volume 2' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota storage insert" AFTER INSERT ON "public"."volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_volume_2"();

CREATE CONSTRAINT TRIGGER "quota storage update" AFTER UPDATE ON "public"."volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant" OR OLD."state" IS DISTINCT FROM NEW."state" OR OLD."storage_pool" IS DISTINCT FROM NEW."storage_pool" OR coalesce(NEW."size", 0) > coalesce(OLD."size", 0)) EXECUTE FUNCTION "public"."_quota_volume_2"();

ALTER TABLE "public"."host_volume" ADD CONSTRAINT "host_volume.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_volume" ADD CONSTRAINT "host_volume.volume: needs its volume" FOREIGN KEY ("volume") REFERENCES "public"."volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_volume" ADD CONSTRAINT "host_volume.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "host_volume.volume: reference" ON "public"."host_volume" ("volume");

CREATE INDEX "host_volume.storage_pool: reference" ON "public"."host_volume" ("storage_pool");

CREATE FUNCTION "public"."_feed_host_volume"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_volume', jsonb_build_array(OLD."host", OLD."volume"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_volume', jsonb_build_array(NEW."host", NEW."volume"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."host_volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_host_volume"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."host_volume" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_host_volume"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."host_volume" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_host_volume"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."host" IS DISTINCT FROM NEW."host" THEN
    RAISE EXCEPTION 'host_volume.host: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_volume', COLUMN = 'host';
  END IF;
  IF OLD."volume" IS DISTINCT FROM NEW."volume" THEN
    RAISE EXCEPTION 'host_volume.volume: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_volume', COLUMN = 'volume';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."host_volume" FOR EACH ROW WHEN (OLD."host" IS DISTINCT FROM NEW."host" OR OLD."volume" IS DISTINCT FROM NEW."volume") EXECUTE FUNCTION "public"."_keep_host_volume"();

ALTER TABLE "public"."extent" ADD CONSTRAINT "extent.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."extent" ADD CONSTRAINT "extent.disk: needs its disk" FOREIGN KEY ("disk") REFERENCES "public"."disk" ("id") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."extent" ADD CONSTRAINT "extent.volume: needs its volume" FOREIGN KEY ("volume") REFERENCES "public"."volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "extent.storage_pool: reference" ON "public"."extent" ("storage_pool");

CREATE INDEX "extent.disk: reference" ON "public"."extent" ("disk");

CREATE INDEX "extent.volume: reference" ON "public"."extent" ("volume");

CREATE FUNCTION "public"."_feed_extent"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'extent', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'extent', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."extent" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_extent"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."extent" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_extent"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."extent" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_extent"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'extent.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'extent', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."extent" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_extent"();

ALTER TABLE "public"."switch" ADD CONSTRAINT "switch.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "switch.tenant: reference" ON "public"."switch" ("tenant");

CREATE FUNCTION "public"."_feed_switch"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."switch" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_switch"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."switch" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_switch"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."switch" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_switch"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'switch.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'switch', COLUMN = 'uuid';
  END IF;
  IF OLD."type" IS DISTINCT FROM NEW."type" THEN
    RAISE EXCEPTION 'switch.type: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'switch', COLUMN = 'type';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."switch" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid" OR OLD."type" IS DISTINCT FROM NEW."type") EXECUTE FUNCTION "public"."_keep_switch"();

CREATE FUNCTION "public"."_quota_switch_2"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."switch" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."switch" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant"
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(1), 0) FROM "public"."switch" AS it WHERE it."tenant" = q."tenant") AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'switch 2' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'switches' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'switch: a quota of switches would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'switch 2', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('switch 2' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."switch" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" WHERE it."uuid" = NEW."uuid" AND q."type" = 'switches' AND strpos(checked, ';' || 'switch 2' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota switches insert" AFTER INSERT ON "public"."switch" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_switch_2"();

CREATE CONSTRAINT TRIGGER "quota switches update" AFTER UPDATE ON "public"."switch" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant") EXECUTE FUNCTION "public"."_quota_switch_2"();

ALTER TABLE "public"."switch_tenant" ADD CONSTRAINT "switch_tenant.switch: needs its switch" FOREIGN KEY ("switch") REFERENCES "public"."switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."switch_tenant" ADD CONSTRAINT "switch_tenant.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "switch_tenant.tenant: reference" ON "public"."switch_tenant" ("tenant");

CREATE FUNCTION "public"."_feed_switch_tenant"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch_tenant', jsonb_build_array(OLD."switch", OLD."tenant"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch_tenant', jsonb_build_array(NEW."switch", NEW."tenant"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."switch_tenant" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_switch_tenant"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."switch_tenant" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_switch_tenant"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."switch_tenant" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_switch_tenant"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."switch" IS DISTINCT FROM NEW."switch" THEN
    RAISE EXCEPTION 'switch_tenant.switch: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'switch_tenant', COLUMN = 'switch';
  END IF;
  IF OLD."tenant" IS DISTINCT FROM NEW."tenant" THEN
    RAISE EXCEPTION 'switch_tenant.tenant: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'switch_tenant', COLUMN = 'tenant';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."switch_tenant" FOR EACH ROW WHEN (OLD."switch" IS DISTINCT FROM NEW."switch" OR OLD."tenant" IS DISTINCT FROM NEW."tenant") EXECUTE FUNCTION "public"."_keep_switch_tenant"();

ALTER TABLE "public"."network" ADD CONSTRAINT "network.switch: needs its switch" FOREIGN KEY ("switch") REFERENCES "public"."switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "network.switch: reference" ON "public"."network" ("switch");

CREATE FUNCTION "public"."_feed_network"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'network', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'network', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."network" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_network"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."network" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_network"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."network" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_network"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'network.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'network', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."network" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_network"();

CREATE FUNCTION "public"."_encloses_address_0"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE broken jsonb;
BEGIN
  PERFORM "public"."_order"();
  SELECT jsonb_build_array(parent."uuid") INTO broken FROM "public"."address" AS child JOIN "public"."network" AS parent ON parent."uuid" = child."network"
    WHERE parent."uuid" = NEW."uuid" AND NOT set_masklen(child."ip", CASE family(child."ip") WHEN 4 THEN 32 ELSE 128 END) <<= parent."range" LIMIT 1;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'network.range: a address that refers to it has an address outside of it' USING ERRCODE = '23PY2', TABLE = 'network', COLUMN = 'range', DETAIL = broken::text;
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "encloses address.0" AFTER UPDATE OF "range" ON "public"."network" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_encloses_address_0"();

ALTER TABLE "public"."route" ADD CONSTRAINT "route.network: needs its network" FOREIGN KEY ("network") REFERENCES "public"."network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "route.network: reference" ON "public"."route" ("network");

CREATE FUNCTION "public"."_feed_route"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'route', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'route', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."route" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_route"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."route" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_route"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."route" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_route"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'route.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'route', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."route" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_route"();

ALTER TABLE "public"."quota" ADD CONSTRAINT "quota.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."quota" ADD CONSTRAINT "quota.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."quota" ADD CONSTRAINT "quota.cpu_profile: needs its cpu_profile" FOREIGN KEY ("cpu_profile") REFERENCES "public"."cpu_profile" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."quota" ADD CONSTRAINT "quota.network: needs its network" FOREIGN KEY ("network") REFERENCES "public"."network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "quota.tenant: reference" ON "public"."quota" ("tenant");

CREATE INDEX "quota.storage_pool: reference" ON "public"."quota" ("storage_pool");

CREATE INDEX "quota.cpu_profile: reference" ON "public"."quota" ("cpu_profile");

CREATE INDEX "quota.network: reference" ON "public"."quota" ("network");

CREATE FUNCTION "public"."_feed_quota"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'quota', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'quota', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."quota" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_quota"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."quota" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_quota"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."quota" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_quota"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'quota.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'quota', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."quota" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_quota"();

CREATE FUNCTION "public"."_feed_metering"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'metering', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'metering', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."metering" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_metering"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."metering" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_metering"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."metering" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_metering"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'metering.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'metering', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."metering" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_metering"();

ALTER TABLE "public"."instance" ADD CONSTRAINT "instance.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."instance" ADD CONSTRAINT "instance.cpu_profile: needs its cpu_profile" FOREIGN KEY ("cpu_profile") REFERENCES "public"."cpu_profile" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "instance.tenant: reference" ON "public"."instance" ("tenant");

CREATE INDEX "instance.cpu_profile: reference" ON "public"."instance" ("cpu_profile");

CREATE FUNCTION "public"."_feed_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'instance', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'instance', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_instance"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_instance"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."instance" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'instance.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'instance', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."instance" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_instance"();

CREATE FUNCTION "public"."_quota_instance_3"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(1), 0) FROM "public"."instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'instance 3' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'instances' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'instance: a quota of instances would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'instance 3', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('instance 3' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" AND q."type" = 'instances' AND strpos(checked, ';' || 'instance 3' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota instances insert" AFTER INSERT ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_instance_3"();

CREATE CONSTRAINT TRIGGER "quota instances update" AFTER UPDATE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant" OR OLD."cpu_profile" IS DISTINCT FROM NEW."cpu_profile") EXECUTE FUNCTION "public"."_quota_instance_3"();

CREATE FUNCTION "public"."_quota_instance_4"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(coalesce(it."vcpu", 0)), 0) FROM "public"."instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'instance 4' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'vcpu' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'instance: a quota of vcpu would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'instance 4', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('instance 4' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" AND q."type" = 'vcpu' AND strpos(checked, ';' || 'instance 4' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota vcpu insert" AFTER INSERT ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_instance_4"();

CREATE CONSTRAINT TRIGGER "quota vcpu update" AFTER UPDATE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant" OR OLD."cpu_profile" IS DISTINCT FROM NEW."cpu_profile" OR coalesce(NEW."vcpu", 0) > coalesce(OLD."vcpu", 0)) EXECUTE FUNCTION "public"."_quota_instance_4"();

CREATE FUNCTION "public"."_quota_instance_5"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(coalesce(it."rcpu", 0)), 0) FROM "public"."instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'instance 5' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'rcpu' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'instance: a quota of rcpu would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'instance 5', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('instance 5' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" AND q."type" = 'rcpu' AND strpos(checked, ';' || 'instance 5' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota rcpu insert" AFTER INSERT ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_instance_5"();

CREATE CONSTRAINT TRIGGER "quota rcpu update" AFTER UPDATE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant" OR OLD."cpu_profile" IS DISTINCT FROM NEW."cpu_profile" OR coalesce(NEW."rcpu", 0) > coalesce(OLD."rcpu", 0)) EXECUTE FUNCTION "public"."_quota_instance_5"();

CREATE FUNCTION "public"."_quota_instance_6"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(coalesce(it."mem", 0)), 0) FROM "public"."instance" AS it WHERE it."tenant" = q."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'instance 6' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'mem' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'instance: a quota of mem would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'instance 6', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('instance 6' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant" AND (q."cpu_profile" IS NULL OR q."cpu_profile" = it."cpu_profile") WHERE it."uuid" = NEW."uuid" AND q."type" = 'mem' AND strpos(checked, ';' || 'instance 6' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota mem insert" AFTER INSERT ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_instance_6"();

CREATE CONSTRAINT TRIGGER "quota mem update" AFTER UPDATE ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."tenant" IS DISTINCT FROM NEW."tenant" OR OLD."cpu_profile" IS DISTINCT FROM NEW."cpu_profile" OR coalesce(NEW."mem", 0) > coalesce(OLD."mem", 0)) EXECUTE FUNCTION "public"."_quota_instance_6"();

CREATE FUNCTION "public"."_quota_address_2_1"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record;
BEGIN
  PERFORM "public"."_order"();
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."instance" AS it JOIN "public"."quota" AS q ON q."tenant" = it."tenant"
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(1), 0) FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND q."type" = 'ips' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'address: a quota of ips would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'address 2', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota ips of address" AFTER INSERT OR UPDATE OF "tenant" ON "public"."instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_address_2_1"();

ALTER TABLE "public"."host_instance" ADD CONSTRAINT "host_instance.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."host_instance" ADD CONSTRAINT "host_instance.target: needs its host" FOREIGN KEY ("target") REFERENCES "public"."host" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "host_instance.target: reference" ON "public"."host_instance" ("target");

CREATE FUNCTION "public"."_feed_host_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_instance', jsonb_build_array(OLD."host", OLD."instance"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'host_instance', jsonb_build_array(NEW."host", NEW."instance"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."host_instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_host_instance"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."host_instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_host_instance"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."host_instance" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_host_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."host" IS DISTINCT FROM NEW."host" THEN
    RAISE EXCEPTION 'host_instance.host: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_instance', COLUMN = 'host';
  END IF;
  IF OLD."instance" IS DISTINCT FROM NEW."instance" THEN
    RAISE EXCEPTION 'host_instance.instance: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'host_instance', COLUMN = 'instance';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."host_instance" FOR EACH ROW WHEN (OLD."host" IS DISTINCT FROM NEW."host" OR OLD."instance" IS DISTINCT FROM NEW."instance") EXECUTE FUNCTION "public"."_keep_host_instance"();

ALTER TABLE "public"."pin" ADD CONSTRAINT "pin.instance: needs its instance" FOREIGN KEY ("instance") REFERENCES "public"."instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."pin" ADD CONSTRAINT "pin.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "pin.host: reference" ON "public"."pin" ("host");

CREATE FUNCTION "public"."_feed_pin"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'pin', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'pin', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."pin" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_pin"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."pin" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_pin"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."pin" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_pin"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'pin.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'pin', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."pin" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_pin"();

ALTER TABLE "public"."vdisk" ADD CONSTRAINT "vdisk.instance: needs its instance" FOREIGN KEY ("instance") REFERENCES "public"."instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."vdisk" ADD CONSTRAINT "vdisk.volume: needs its volume" FOREIGN KEY ("volume") REFERENCES "public"."volume" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."vdisk" ADD CONSTRAINT "vdisk.image: needs its image" FOREIGN KEY ("image") REFERENCES "public"."image" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."vdisk" ADD CONSTRAINT "vdisk.storage_pool: needs its storage_pool" FOREIGN KEY ("storage_pool") REFERENCES "public"."storage_pool" ("uuid") ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "vdisk.volume: reference" ON "public"."vdisk" ("volume");

CREATE INDEX "vdisk.image: reference" ON "public"."vdisk" ("image");

CREATE INDEX "vdisk.storage_pool: reference" ON "public"."vdisk" ("storage_pool");

CREATE FUNCTION "public"."_feed_vdisk"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vdisk', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vdisk', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."vdisk" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_vdisk"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."vdisk" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_vdisk"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."vdisk" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_vdisk"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'vdisk.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'vdisk', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."vdisk" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_vdisk"();

ALTER TABLE "public"."vnic" ADD CONSTRAINT "vnic.instance: needs its instance" FOREIGN KEY ("instance") REFERENCES "public"."instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."vnic" ADD CONSTRAINT "vnic.switch: needs its switch" FOREIGN KEY ("switch") REFERENCES "public"."switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "vnic.switch: reference" ON "public"."vnic" ("switch");

CREATE FUNCTION "public"."_feed_vnic"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vnic', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'vnic', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."vnic" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_vnic"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."vnic" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_vnic"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."vnic" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_vnic"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'vnic.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'vnic', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."vnic" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_vnic"();

CREATE FUNCTION "public"."_quota_address_2_0"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record;
BEGIN
  PERFORM "public"."_order"();
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."vnic" AS it JOIN "public"."instance" AS p0 ON p0."uuid" = it."instance" JOIN "public"."quota" AS q ON q."tenant" = p0."tenant"
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(1), 0) FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND q."type" = 'ips' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'address: a quota of ips would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'address 2', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota ips of address" AFTER INSERT OR UPDATE OF "instance" ON "public"."vnic" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_address_2_0"();

ALTER TABLE "public"."switch_port" ADD CONSTRAINT "switch_port.vnic: needs its vnic" FOREIGN KEY ("vnic") REFERENCES "public"."vnic" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."switch_port" ADD CONSTRAINT "switch_port.switch: needs its switch" FOREIGN KEY ("switch") REFERENCES "public"."switch" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."switch_port" ADD CONSTRAINT "switch_port.host: needs its host" FOREIGN KEY ("host") REFERENCES "public"."host" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "switch_port.switch: reference" ON "public"."switch_port" ("switch");

CREATE INDEX "switch_port.host: reference" ON "public"."switch_port" ("host");

CREATE FUNCTION "public"."_feed_switch_port"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch_port', jsonb_build_array(OLD."vnic"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'switch_port', jsonb_build_array(NEW."vnic"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."switch_port" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_switch_port"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."switch_port" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_switch_port"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."switch_port" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_switch_port"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."vnic" IS DISTINCT FROM NEW."vnic" THEN
    RAISE EXCEPTION 'switch_port.vnic: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'switch_port', COLUMN = 'vnic';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."switch_port" FOR EACH ROW WHEN (OLD."vnic" IS DISTINCT FROM NEW."vnic") EXECUTE FUNCTION "public"."_keep_switch_port"();

ALTER TABLE "public"."address" ADD CONSTRAINT "address.network: needs its network" FOREIGN KEY ("network") REFERENCES "public"."network" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."address" ADD CONSTRAINT "address.vnic: needs its vnic" FOREIGN KEY ("vnic") REFERENCES "public"."vnic" ("uuid") ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "address.vnic: reference" ON "public"."address" ("vnic");

CREATE FUNCTION "public"."_feed_address"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'address', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'address', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."address" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_address"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."address" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_address"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."address" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_address"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'address.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'address', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."address" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_address"();

CREATE FUNCTION "public"."_inside_address_0"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE broken jsonb;
BEGIN
  PERFORM "public"."_order"();
  SELECT jsonb_build_array(child."uuid") INTO broken FROM "public"."address" AS child JOIN "public"."network" AS parent ON parent."uuid" = child."network"
    WHERE child."uuid" = NEW."uuid" AND NOT set_masklen(child."ip", CASE family(child."ip") WHEN 4 THEN 32 ELSE 128 END) <<= parent."range";
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'address.ip: lies outside of the range of its network' USING ERRCODE = '23PY2', TABLE = 'address', COLUMN = 'ip', DETAIL = broken::text;
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "inside 0" AFTER INSERT OR UPDATE OF "ip", "network" ON "public"."address" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_inside_address_0"();

CREATE FUNCTION "public"."_quota_address_2"() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE worst record; checked text := coalesce(current_setting('pony._checked', true), ''); due text;
BEGIN
  PERFORM "public"."_order"();
  IF checked = '' OR length(checked) > 16384
    OR split_part(checked, ';', 1)::bigint <= (SELECT it.cmin::text::bigint FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" JOIN "public"."quota" AS q ON q."tenant" = p1."tenant" AND (q."network" IS NULL OR q."network" = it."network") WHERE it."uuid" = NEW."uuid" LIMIT 1) THEN
    checked := coalesce((SELECT o.cmin::text FROM "public"."_outbox" AS o WHERE o.seq = currval('"public"."_outbox_seq"')), '-1') || ';';
  END IF;
  SELECT jsonb_build_array(it."uuid") AS row_key, jsonb_build_array(q."uuid") AS limit_key, q."limit" AS most, u.used INTO worst
    FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" JOIN "public"."quota" AS q ON q."tenant" = p1."tenant" AND (q."network" IS NULL OR q."network" = it."network")
    CROSS JOIN LATERAL (SELECT (SELECT coalesce(sum(1), 0) FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" WHERE p1."tenant" = q."tenant" AND (q."network" IS NULL OR q."network" = it."network")) AS used) AS u
    WHERE it."uuid" = NEW."uuid" AND strpos(checked, ';' || 'address 2' || jsonb_build_array(q."uuid")::text || ';') = 0 AND q."type" = 'ips' AND q."limit" < u.used LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'address: a quota of ips would be exceeded: it is %, and there would be %', worst.most, worst.used
      USING ERRCODE = '23PY3', TABLE = TG_TABLE_NAME, CONSTRAINT = 'address 2', DETAIL = jsonb_build_object('key', worst.row_key, 'limit', worst.limit_key, 'used', worst.used::float8)::text;
  END IF;
  SELECT string_agg('address 2' || jsonb_build_array(q."uuid")::text || ';', '') INTO due FROM "public"."address" AS it JOIN "public"."vnic" AS p0 ON p0."uuid" = it."vnic" JOIN "public"."instance" AS p1 ON p1."uuid" = p0."instance" JOIN "public"."quota" AS q ON q."tenant" = p1."tenant" AND (q."network" IS NULL OR q."network" = it."network") WHERE it."uuid" = NEW."uuid" AND q."type" = 'ips' AND strpos(checked, ';' || 'address 2' || jsonb_build_array(q."uuid")::text || ';') = 0;
  IF due IS NOT NULL THEN
    PERFORM set_config('pony._checked', checked || due, true);
  END IF;
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "quota ips insert" AFTER INSERT ON "public"."address" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_quota_address_2"();

CREATE CONSTRAINT TRIGGER "quota ips update" AFTER UPDATE ON "public"."address" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."vnic" IS DISTINCT FROM NEW."vnic" OR OLD."network" IS DISTINCT FROM NEW."network") EXECUTE FUNCTION "public"."_quota_address_2"();

ALTER TABLE "public"."affinity_group" ADD CONSTRAINT "affinity_group.tenant: needs its tenant" FOREIGN KEY ("tenant") REFERENCES "public"."tenant" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "affinity_group.tenant: reference" ON "public"."affinity_group" ("tenant");

CREATE FUNCTION "public"."_feed_affinity_group"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'affinity_group', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'affinity_group', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."affinity_group" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_affinity_group"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."affinity_group" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_affinity_group"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."affinity_group" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_affinity_group"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'affinity_group.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'affinity_group', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."affinity_group" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_affinity_group"();

ALTER TABLE "public"."affinity_group_instance" ADD CONSTRAINT "affinity_group_instance.affinity_group: needs its affinity_grou" FOREIGN KEY ("affinity_group") REFERENCES "public"."affinity_group" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

ALTER TABLE "public"."affinity_group_instance" ADD CONSTRAINT "affinity_group_instance.instance: needs its instance" FOREIGN KEY ("instance") REFERENCES "public"."instance" ("uuid") ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;

CREATE INDEX "affinity_group_instance.instance: reference" ON "public"."affinity_group_instance" ("instance");

CREATE FUNCTION "public"."_feed_affinity_group_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'affinity_group_instance', jsonb_build_array(OLD."uuid"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'affinity_group_instance', jsonb_build_array(NEW."uuid"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."affinity_group_instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_affinity_group_instance"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."affinity_group_instance" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_affinity_group_instance"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."affinity_group_instance" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_affinity_group_instance"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."uuid" IS DISTINCT FROM NEW."uuid" THEN
    RAISE EXCEPTION 'affinity_group_instance.uuid: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'affinity_group_instance', COLUMN = 'uuid';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."affinity_group_instance" FOR EACH ROW WHEN (OLD."uuid" IS DISTINCT FROM NEW."uuid") EXECUTE FUNCTION "public"."_keep_affinity_group_instance"();

CREATE FUNCTION "public"."_feed_event"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  PERFORM "public"."_order"();
  IF TG_OP = 'DELETE' THEN
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'event', jsonb_build_array(OLD."hash"), NULL);
  ELSE
    INSERT INTO "public"."_outbox" VALUES (nextval('"public"."_outbox_seq"'), pg_current_xact_id()::text::bigint, 'event', jsonb_build_array(NEW."hash"), to_jsonb(NEW));
  END IF;
  PERFORM pg_notify('pony_desired', '');
  RETURN NULL;
END
$body$;

CREATE CONSTRAINT TRIGGER "feed" AFTER INSERT OR DELETE ON "public"."event" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "public"."_feed_event"();

CREATE CONSTRAINT TRIGGER "feed update" AFTER UPDATE ON "public"."event" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.* *<> NEW.*) EXECUTE FUNCTION "public"."_feed_event"();

CREATE TRIGGER "no truncate" BEFORE TRUNCATE ON "public"."event" EXECUTE FUNCTION "public"."_no_truncate"();

CREATE FUNCTION "public"."_keep_event"() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF OLD."hash" IS DISTINCT FROM NEW."hash" THEN
    RAISE EXCEPTION 'event.hash: cannot be changed' USING ERRCODE = '23PY1', TABLE = 'event', COLUMN = 'hash';
  END IF;
  RETURN NEW;
END
$body$;

CREATE TRIGGER "keep" BEFORE UPDATE ON "public"."event" FOR EACH ROW WHEN (OLD."hash" IS DISTINCT FROM NEW."hash") EXECUTE FUNCTION "public"."_keep_event"();
