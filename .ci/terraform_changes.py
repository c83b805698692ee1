"""What the real provider would do to a deployment that changes, without an account.

    terraform_changes.py MODULE MIRROR    the module in the folder MODULE, beside which may be written, with the provider of a mirror

There is no deployment, so its state is made up: of the values that the provider plans, and made-up ones for what only AWS knows. Planned again
upon that state, more values are known; after a few rounds the provider wants nothing changed. Then the variables change, and what is to be deleted
or replaced is in the plan. Nothing leaves this machine: the one question that is asked at a plan, whose account this is, is answered here.
"""

import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

ACCOUNT = "111122223333"
ROUNDS = 5
MAIN = """
terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}
variable "settings" {
  type = any
}
%s
module "quicksync" {
  source        = "%s"
  providers     = { aws = aws, aws.us_east_1 = aws.us_east_1, aws.second = aws.second }
  name          = "example"
  networks      = var.settings.networks
  price_class   = var.settings.price_class
  second_region = true
  gc            = { principals = ["arn:aws:iam::111122223333:role/retention"] }
  notify        = [{ protocol = "email", endpoint = "operator@example.org" }]
  tb_steps      = [1]
  node_alarms   = true
}
"""
PROVIDER = """
provider "aws" {
  %s
  region                      = "%s"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  endpoints {
    sts = "%s"
  }
}
"""
REGIONS = {"": "eu-central-1", 'alias = "us_east_1"': "us-east-1", 'alias = "second"': "ap-southeast-1"}
NETWORK = {"profiles": {"rocksdb-pruned": {}}, "publisher": {"ec2": True}}
MADE = {"networks": {"kusama": NETWORK, "polkadot": NETWORK}, "price_class": "PriceClass_100"}
GROWN = {"networks": {**MADE["networks"], "westend": NETWORK}, "price_class": "PriceClass_All"}


class Identity(http.server.BaseHTTPRequestHandler):
    """GetCallerIdentity."""

    def do_POST(self):
        answer = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/none</Arn>
            <UserId>none</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>""".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def arn_of(change):
    """ARNs that the provider takes for ones."""
    after, kind = change["change"]["after"], change["type"]
    region = "us-east-1" if "us_east_1" in change["address"] or "delivery" in kind else "ap-southeast-1" if "second" in change["address"] else "eu-central-1"
    return {
        "aws_cloudfront_distribution": f"arn:aws:cloudfront::{ACCOUNT}:distribution/E2EXAMPLE",
        "aws_sns_topic": f"arn:aws:sns:{region}:{ACCOUNT}:{after.get('name')}",
        "aws_cloudwatch_log_delivery_destination": f"arn:aws:logs:{region}:{ACCOUNT}:delivery-destination:{after.get('name')}",
    }.get(kind, f"arn:aws:made:{region}:{ACCOUNT}:{kind}")


# What other resources go by; whatever else only AWS knows is left empty.
NAMED = {"id", "domain_name", "hosted_zone_id", "bucket_regional_domain_name"}


def made_up(change, schema):
    """The planned values, with others where AWS would have to say."""
    empty = {"list": [], "set": [], "map": {}}
    after, unknown = change["change"]["after"], change["change"]["after_unknown"]
    values = {key: value for key, value in after.items() if unknown.get(key) is not True}
    for key in unknown:
        if unknown[key] is True:
            kind = schema["block"]["attributes"].get(key, {}).get("type")
            values[key] = arn_of(change) if key == "arn" else f"made-{key}" if key in NAMED else empty.get(kind[0]) if isinstance(kind, list) else None
    if "tags_all" in after or "tags_all" in unknown:
        values["tags_all"] = after.get("tags") or {}
    return values


def state_of(plan, schemas, serial):
    """A state in which everything that was planned has been made."""
    resources = {}
    for change in plan["resource_changes"]:
        if change["mode"] != "managed" or change["change"]["after"] is None:
            continue
        place = (change.get("module_address"), change["type"], change["name"])
        resource = resources.setdefault(place, {
            **({"module": place[0]} if place[0] else {}), "mode": "managed", "type": place[1], "name": place[2],
            "provider": 'provider["registry.terraform.io/hashicorp/aws"]', "instances": [],
        })
        instance = {"schema_version": schemas[place[1]]["version"], "attributes": made_up(change, schemas[place[1]])}
        resource["instances"].append(instance | ({"index_key": change["index"]} if "index" in change else {}))
    return {"version": 4, "terraform_version": "1.11.0", "serial": serial, "lineage": "made-up", "outputs": {}, "resources": list(resources.values())}


def terraform(folder, *arguments):
    run = subprocess.run(["terraform", f"-chdir={folder}", *arguments], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"terraform {arguments[0]} failed:\n{run.stdout}\n{run.stderr}")
    return run.stdout


def plan(folder, settings):
    (folder / "settings.auto.tfvars.json").write_text(json.dumps({"settings": settings}))
    terraform(folder, "plan", "-refresh=false", "-lock=false", "-input=false", "-no-color", "-out=plan")
    return json.loads(terraform(folder, "show", "-json", "plan"))


def changed(plan):
    return {change["address"]: change["change"]["actions"] for change in plan["resource_changes"] if change["mode"] == "managed" and change["change"]["actions"] != ["no-op"]}


def settled(folder, schemas):
    """Plans upon made-up states until nothing is to be changed."""
    before = plan(folder, MADE)
    for serial in range(1, ROUNDS):
        (folder / "terraform.tfstate").write_text(json.dumps(state_of(before, schemas, serial)))
        before = plan(folder, MADE)
        if not changed(before):
            return
    sys.exit(f"after {ROUNDS} rounds the provider still wants to change: {changed(before)}")


def breaches(folder, schemas):
    settled(folder, schemas)
    found = changed(plan(folder, GROWN))
    for address, actions in found.items():
        if "delete" in actions:
            yield f"one more network and another price class: {address} is {'replaced' if 'create' in actions else 'deleted'}"
        elif actions == ["create"] and "westend" not in address:
            yield f"one more network and another price class: {address} is made"
    updated = {address.removeprefix("module.quicksync.") for address, actions in found.items() if actions == ["update"]}
    if updated != {"aws_cloudfront_distribution.this", "aws_cloudwatch_dashboard.this"}:
        yield f"one more network and another price class change {sorted(updated)}, expected the distribution and the dashboard alone"


def main(module, mirror):
    module = pathlib.Path(module).resolve()
    folder = module.parent / "changes"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Identity)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    providers = "".join(PROVIDER % (alias, region, f"http://127.0.0.1:{server.server_port}") for alias, region in REGIONS.items())
    (folder / "main.tf").write_text(MAIN % (providers, os.path.relpath(module, folder)))
    terraform(folder, "init", "-input=false", "-no-color", f"-plugin-dir={mirror}")
    schemas = json.loads(terraform(folder, "providers", "schema", "-json"))["provider_schemas"]["registry.terraform.io/hashicorp/aws"]["resource_schemas"]
    found = list(breaches(folder, schemas))
    print("\n".join(found))
    sys.exit(1 if found else 0)


main(*sys.argv[1:])
