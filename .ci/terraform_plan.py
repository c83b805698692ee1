"""A plan of terraform/ that questions can be asked of, and what policies answer."""

import fnmatch
import json
import re

PREFIX = "v1"


class Request:
    """Who asks for what: `who` is anonymous, account:ID, role:NAME or service:NAME."""

    def __init__(self, who, action, resource, **context):
        self.who, self.action, self.resource = who, action, resource
        principal = "Anonymous" if who == "anonymous" else "AssumedRole"
        self.context = {"aws:SecureTransport": "true", "aws:PrincipalType": principal} | {key.replace("__", ":").replace("_", "-"): value for key, value in context.items()}


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, text):
    # Only * and ? mean something in a policy.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def condition_holds(operator, key, wanted, context):
    value = context.get(key)
    if operator == "Null":
        return (value is None) == (wanted == "true")
    if value is None:
        return False
    if operator in ("StringEquals", "ArnEquals"):
        return value in listed(wanted)
    if operator in ("StringLike", "ArnLike"):
        return any(matches(one, value) for one in listed(wanted))
    if operator == "Bool":
        return value == wanted
    raise ValueError(f"an operator that this does not know: {operator}")


def principal_fits(principal, who):
    kind, _, name = who.partition(":")
    if principal == "*":
        return True
    if kind == "service":
        return name in listed(principal.get("Service", []))
    named = listed(principal.get("AWS", []))
    return "*" in named or (kind == "account" and f"arn:aws:iam::{name}:root" in named)


def applies(statement, request, of_resource):
    if "NotAction" in statement or "NotResource" in statement or "NotPrincipal" in statement:
        raise ValueError("a statement by exclusion, of which nobody sees what it allows")
    if of_resource and not principal_fits(statement["Principal"], request.who):
        return False
    return (
        any(matches(action.lower(), request.action.lower()) for action in listed(statement["Action"]))
        and any(matches(resource, request.resource) for resource in listed(statement["Resource"]))
        and all(condition_holds(operator, key, wanted, request.context) for operator, pairs in statement.get("Condition", {}).items() for key, wanted in pairs.items())
    )


class Model:
    """The parts of a plan that questions are asked of."""

    def __init__(self, plan):
        self.plan = plan
        self.buckets = {self.module(address): change["change"]["after"]["bucket"] for address, change in plan.items() if change["type"] == "aws_s3_bucket"}
        self.bucket_policies = {
            change["change"]["after"]["bucket"]: json.loads(change["change"]["after"]["policy"])["Statement"] for change in plan.values() if change["type"] == "aws_s3_bucket_policy"
        }
        self.roles = {self.module(address): json.loads(after["policy"])["Statement"] for address, after in self.of_type("aws_iam_role_policy")}
        self.trusts = {self.module(address): json.loads(after["assume_role_policy"])["Statement"] for address, after in self.of_type("aws_iam_role")}
        self.readers_pay = [name for module, name in self.buckets.items() if module.startswith(("module.raw", "module.second"))]
        self.stores = [*self.readers_pay, self.buckets["module.cdn"]]
        self.topics = {self.module(address): after["arn"] for address, after in self.of_type("aws_sns_topic")}
        self.distribution = dict(self.of_type("aws_cloudfront_distribution"))["aws_cloudfront_distribution.this"]

    @staticmethod
    def module(address):
        """The module that a resource is in, without the last dots."""
        return re.sub(r"\.?aws_[a-z0-9_]+\.[a-z0-9_]+(\[[^]]*\])?$", "", address)

    def of_type(self, *types):
        return [(address, change["change"]["after"]) for address, change in self.plan.items() if change["type"] in types]

    def setting(self, kind, bucket):
        return next((after for _, after in self.of_type(kind) if after["bucket"] == bucket), None)

    def allowed(self, request):
        bucket = re.match(r"arn:aws:s3:::([^/]+)", request.resource)
        of_bucket = self.bucket_policies.get(bucket.group(1), []) if bucket else []
        of_role = self.roles[request.who.removeprefix("role:")] if request.who.startswith("role:") else []
        said = [s["Effect"] for s in of_bucket if applies(s, request, True)] + [s["Effect"] for s in of_role if applies(s, request, False)]
        return "Deny" not in said and "Allow" in said
