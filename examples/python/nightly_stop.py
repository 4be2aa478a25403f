"""Stops every instance of a tenant, and waits until they are off. For cron:

    0 22 * * *  PONY_URL=… PONY_AUTH=… nightly_stop.py acme

Whoever starts one meanwhile wins: what is asked for is one order, not a state to be kept.
"""

import argparse
import sys

from ponycloud import Cloud, errors


def stop_all(cloud: Cloud, tenant: str, timeout: float) -> list[str]:
    """The names of those that were stopped."""
    owner = cloud.tenant[cloud.tenant.one(name=tenant).key]
    running = owner.instance.list(state="running")
    with cloud.transaction() as tx:
        for row in running:
            tx.tenant[owner].instance[row.key].merge(state="stopped")
    for row in running:
        try:
            owner.instance[row.key].wait_for(lambda row: row.current and row.current["status"] == "stopped", timeout)
        except errors.NotFound:
            # Somebody removed it: it is off, too.
            continue
    return [(row.desired or {})["name"] for row in running]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tenant", help="its name")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each to stop")
    arguments = parser.parse_args()
    with Cloud() as cloud:
        try:
            stopped = stop_all(cloud, arguments.tenant, arguments.timeout)
        except errors.PonyError as error:
            print(f"nightly_stop: {error}", file=sys.stderr)
            return 1
    print(f"stopped {len(stopped)}: {', '.join(stopped) or 'none was running'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
