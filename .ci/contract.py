"""Tries the REST API of a running Sparkle from outside, with tools that know nothing of it but its description.

    contract.py SPARKLE [TEST…]
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPBasicAuthHandler, HTTPPasswordMgrWithDefaultRealm, Request, build_opener

TOOLS = Path(sys.executable).absolute().parent
# How long Sparkle may take to start on a busy machine, seconds.
START_MAX_S = 60
# How long each run of schemathesis may try things at random, seconds; what it tries of every operation comes first.
FUZZ_MAX_S = 15
# What it tries at random, the same each time. PONY_SEED tries others.
SEED = os.environ.get("PONY_SEED", "1")
# No server error, and no answer that the document does not describe.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"
# These have no end.
ENDLESS = ["/v1/event-stream", "/v1/ws"]
# Whoever may do everything here may also remove himself.
SUICIDAL = r"^/v1/(user/.*)?$"


class Sparkle:
    """A Sparkle of its own, with a database of its own."""

    def __init__(self, binary):
        self.dir = tempfile.TemporaryDirectory(prefix="pony-contract-")
        self.log = open(Path(self.dir.name) / "log", "w+b")
        command = [binary, "--dir", self.dir.name, "--listen", "127.0.0.1:0", "--zmq", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.url = self._wait()
        self.auth = (Path(self.dir.name) / "admin-credentials").read_text().strip()
        passwords = HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, self.url, *self.auth.split(":", 1))
        self.http = build_opener(HTTPBasicAuthHandler(passwords))

    def _wait(self):
        until = time.monotonic() + START_MAX_S
        while time.monotonic() < until and self.process.poll() is None:
            found = re.search(r"the REST API is at (http://[^/]+)/", self.said())
            if found:
                return found[1]
            time.sleep(0.1)
        raise RuntimeError(f"Sparkle did not start:\n{self.said()}")

    def said(self):
        return Path(self.log.name).read_text(errors="replace")

    def ask(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if method == "POST" else {}
        request = Request(self.url + path, data=data, method=method, headers=headers)
        with self.http.open(request, timeout=30) as answer:
            return answer.read().decode()

    def try_order(self, path, body):
        try:
            return 200, json.loads(self.ask(path, "POST", body))
        except HTTPError as error:
            return error.code, json.loads(error.read())

    def order(self, patch):
        return json.loads(self.ask("/v1/", "PATCH", patch))["uuids"]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()
        self.dir.cleanup()


def entity(path, desired):
    return {"op": "x-merge", "path": path, "value": {"desired": desired}}


def some_of_everything(sparkle):
    """Orders an entity of most tables. Says how each is named in URLs."""
    host, tenant = "6d0e3b5a-0000-4000-8000-000000000001", "/tenant/$tenant/children"
    instance, switch = f"{tenant}/instance/$instance/children", f"{tenant}/switch/$switch/children"
    uuids = sparkle.order([
        entity(f"/host/{host}", {"state": "present", "name": "h"}),
        entity(f"/host/{host}/children/bond/$bond", {"mode": "active-backup"}),
        entity(f"/host/{host}/children/bond/$bond/children/role/$role", {"role": "core"}),
        entity(f"/host/{host}/children/nic/02:00:00:00:00:01", {}),
        entity("/cpu-profile/$cpu_profile", {"name": "c", "model": "qemu64", "features": ["sse4.2"]}),
        entity("/storage-pool/$storage_pool", {"type": "dir", "name": "p", "config": {"path": "/p"}, "host": host}),
        entity("/disk/wwn-1", {"type": "local", "host": host}),
        entity("/config/host-redundancy", {"value": 1}),
        entity("/user/u@example.org", {"data": {"method": "password", "password": "s3cret-s3cret"}}),
        entity("/tenant/$tenant", {"name": "t", "approved": True}),
        entity(f"{tenant}/member/$member", {"user": "u@example.org", "role": "owner"}),
        entity(f"{tenant}/quota/$quota", {"type": "mem", "limit": 1000000}),
        entity(f"{tenant}/image/$image", {"name": "i"}),
        entity(f"{tenant}/volume/$volume", {"name": "v", "size": 1, "storage_pool": "$storage_pool"}),
        entity(f"{tenant}/switch/$switch", {"name": "s", "type": "bridge"}),
        entity(f"{switch}/network/$network", {"range": "10.0.0.0/24"}),
        entity(f"{switch}/network/$network/children/route/$route", {"route": "10.1.0.0/24", "via": "10.0.0.1"}),
        entity(f"{tenant}/instance/$instance", {"name": "web", "vcpu": 1, "rcpu": 0.5, "mem": 64}),
        entity(f"{instance}/vdisk/$vdisk", {"volume": "$volume", "index": 0}),
        entity(f"{instance}/vnic/$vnic", {"switch": "$switch", "index": 0}),
        entity(f"{switch}/network/$network/children/address/$address", {"ip": "10.0.0.2", "vnic": "$vnic"}),
        entity(f"{tenant}/affinity-group/$affinity_group", {"name": "g", "type": "affinity"}),
    ])
    named = {name.removeprefix("$"): uuid for name, uuid in uuids.items()}
    named |= {"host": host, "nic": "02:00:00:00:00:01", "disk": "wwn-1", "config": "host-redundancy"}
    return named | {"user": "u@example.org"}


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sparkle = Sparkle(BINARY)
        cls.addClassCleanup(cls.sparkle.stop)
        cls.named = some_of_everything(cls.sparkle)
        cls.document = Path(cls.sparkle.dir.name) / "openapi.json"
        cls.document.write_text(cls.sparkle.ask("/v1/openapi.json"))

    def creations(self):
        """Each path that takes POST, as a URL, with the columns that its orders must have."""
        document = json.loads(self.document.read_text())

        def schema(reference):
            return document["components"]["schemas"][reference["$ref"].rsplit("/", 1)[1]]

        for path, item in document["paths"].items():
            if "post" in item:
                new = schema(item["post"]["requestBody"]["content"]["application/json"]["schema"])
                url = re.sub(r"{(\w+)}", lambda key: self.named[key[1]], path)
                desired = new["properties"]["desired"]
                yield url, schema(desired).get("required", []) + desired.get("required", [])

    def test_2_what_is_required_is_what_an_empty_order_lacks(self):
        counts = [0, 0]
        # Those at the root belong to no tenant, and there are none.
        nowhere = [f"/v1/{name}/{self.named[name]}/" for name in ["image", "switch"]]
        for url, required in self.creations():
            if url.startswith(tuple(nowhere)):
                continue
            with self.subTest(url):
                status, answer = self.sparkle.try_order(url, {"desired": {}})
                lacks = re.findall(r"(?:needs|,) a `(\w+)`", answer.get("message", ""))
                if required:
                    self.assertEqual(status, 400, answer)
                    self.assertTrue(lacks, answer)
                # Keys that are no UUIDs come first; they may stand in the path, so they are not listed.
                if lacks and not answer["path"].endswith("/POST"):
                    self.assertLessEqual(set(lacks), set(required))
                counts[bool(required)] += 1
        self.assertGreater(min(counts), 3, counts)

    def run_tool(self, tool, *arguments, cwd=None):
        command = [str(TOOLS / tool), *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
        said = done.stdout.decode(errors="replace")
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{said}\n{self.sparkle.said()[-4000:]}")
        return said

    def test_1_the_document_is_valid(self):
        self.run_tool("python", "-m", "openapi_spec_validator", self.document)

    def test_3_a_generated_client_creates_and_lists_an_instance(self):
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory) / "config.yml"
            openmetrics = "content_type_overrides: {application/openmetrics-text: text/plain}"
            config.write_text(f"post_hooks: []\npackage_name_override: generated\n{openmetrics}\n")
            self.run_tool(
                "openapi-python-client", "generate", "--path", self.document, "--meta", "none",
                "--output-path", Path(directory) / "generated", "--config", config, "--fail-on-warning",
            )
            sys.path.insert(0, directory)
            self.addCleanup(sys.path.remove, directory)
            self.create_and_list()

    def create_and_list(self):
        import uuid

        from generated import Client
        from generated.api.instance import create_tenant_instance, get_tenant_instance, list_tenant_instance
        from generated.models import InstanceOrder, NewTenantInstance, Problem

        auth = tuple(self.sparkle.auth.split(":", 1))
        client = Client(base_url=self.sparkle.url, raise_on_unexpected_status=True, httpx_args={"auth": auth})
        tenant = uuid.UUID(self.named["tenant"])
        order = NewTenantInstance(desired=InstanceOrder(name="generated", vcpu=2, rcpu=0.5, mem=128))
        made = create_tenant_instance.sync(tenant, client=client, body=order).uuids["POST"]
        listed = list_tenant_instance.sync(tenant, client=client, name="generated")
        self.assertEqual(list(listed.additional_properties), [str(made)])
        shown = listed[str(made)].desired
        self.assertEqual((shown.uuid, shown.name, shown.vcpu, shown.mem), (made, "generated", 2, 128))
        self.assertEqual(get_tenant_instance.sync(tenant, made, client=client).desired.name, "generated")
        refused = create_tenant_instance.sync(tenant, client=client, body=order)
        self.assertIsInstance(refused, Problem)
        self.assertEqual((refused.status, refused.error), (409, "conflict"))

    def try_everything(self, *narrow, phases="coverage,fuzzing", checks=CHECKS, named=None):
        """Lets schemathesis try each operation with what fits its description, and with what does not."""
        config = Path(self.sparkle.dir.name) / "schemathesis.toml"
        parameters = "".join(f'"path.{name}" = {json.dumps(key)}\n' for name, key in (named or self.named).items())
        config.write_text(f"[parameters]\n{parameters}")
        endless = [word for path in ENDLESS for word in ("--exclude-path", path)]
        said = self.run_tool(
            "schemathesis", "--config-file", config, "run", f"{self.sparkle.url}/v1/openapi.json",
            "--auth", self.sparkle.auth, "--seed", SEED, "--max-examples", "2", "--max-time", FUZZ_MAX_S,
            "--phases", phases, "--checks", checks, "--generation-database", "none",
            "--continue-on-failure", "--no-color", *endless, *narrow, cwd=self.sparkle.dir.name,
        )
        cases = re.search(r"(\d+) generated", said)
        self.assertIsNotNone(cases, said)
        print(f"{cases[1]} requests {' '.join(narrow)}", file=sys.stderr)
        self.assertIsNone(self.sparkle.process.poll(), "it still runs")
        return said

    def test_4_reads_are_as_described(self):
        self.try_everything("--include-method", "GET")

    def test_5_writes_are_as_described(self):
        self.try_everything("--exclude-method", "GET", "--exclude-method", "DELETE", "--exclude-path-regex", SUICIDAL)

    def test_6_what_one_request_makes_the_next_can_read_change_and_remove(self):
        """Follows the links of the document: what was made is there at once, what was removed is gone."""
        checks = f"{CHECKS},ensure_resource_availability,use_after_free"
        # What can be made of nothing but words and numbers.
        easy = r"^/v1/(cpu-profile|tenant/\{tenant\}/(affinity-group|image|instance|switch))/(\{\w+\})?$"
        named = {"tenant": self.named["tenant"]}
        said = self.try_everything("--include-path-regex", easy, phases="stateful", checks=checks, named=named)
        links = re.search(r"API Links:\s+(\d+) covered", said)
        self.assertGreater(int(links[1]), 5, said)

    def test_7_removals_are_as_described(self):
        self.try_everything("--include-method", "DELETE", "--exclude-path-regex", SUICIDAL)

    def test_8_metrics_can_be_read_and_stay_few(self):
        from prometheus_client.openmetrics.parser import text_string_to_metric_families

        text = self.sparkle.ask("/metrics")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        samples = [sample for family in families.values() for sample in family.samples]
        # Thousands of requests, to as many URLs, were made before.
        self.assertLess(len(samples), 3000)

        def value(name, **labels):
            found = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
            self.assertTrue(found, f"{name} {labels}\n{text}")
            return sum(found)

        users = len(json.loads(self.sparkle.ask("/v1/user/")))
        self.assertEqual(value("sparkle_rows", table="user", part="desired"), users)
        self.assertGreater(value("sparkle_http_request_seconds_count", method="GET", route="/v1/{*path}"), 0)
        self.assertGreater(value("sparkle_commit_seconds_count"), 0)
        self.assertGreaterEqual(value("sparkle_unconverged_oldest_seconds", table="instance"), 0)
        self.assertGreaterEqual(value("sparkle_hosts"), 0)
        self.assertEqual((value("sparkle_leads"), value("sparkle_queue", queue="writes")), (1, 0))
        for secret in ["s3cret", "argon2", self.sparkle.auth.split(":", 1)[1]]:
            self.assertNotIn(secret, text)

    def test_9_so_are_writes_after_which_nobody_may_be_left(self):
        self.try_everything("--exclude-method", "GET", "--include-path-regex", SUICIDAL)


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
