"""What .ci/terraform asks of plans of terraform/ beyond what terraform and checkov do. A plan comes from `terraform test -json -verbose`.

    terraform.py runs LOG        the runs of such a test: what failed, and why
    terraform.py review LOG RUN  the questions of a reviewer, asked of the plan of one run
    terraform.py changes LOG     what is deleted or replaced when a deployment changes
    terraform.py self-test LOG   breaks each rule once in such plans: each breach must be found
    terraform.py toml LOG RUN    prints the configuration that a plan would give out
    terraform.py words FOLDER    every variable has a type, a description and a validation, and stands in the README, as every output does
"""

import copy
import fnmatch
import json
import pathlib
import re
import sys

OWNER, STRANGER = "111122223333", "999988887777"
PREFIX = "v1"
IMMUTABLE = ["chunks", "lists", "manifests", "raw", "root"]
# In a policy of access: what says, or may say, who asked.
ADDRESSES = {"c-ip", "c-port", "x-forwarded-for", "c-country", "asn", "cs(User-Agent)", "cs(Referer)", "cs(Cookie)", "cs-uri-query"}


def messages(log):
    return [json.loads(line) for line in pathlib.Path(log).read_text().splitlines() if line.startswith("{")]


def plans(log):
    """The resources of each run's plan, by address."""
    found = {}
    for message in messages(log):
        if message["type"] == "test_plan":
            found[message["@testrun"]] = {change["address"]: change for change in message["test_plan"]["resource_changes"]}
    return found


def failures(log):
    log = messages(log)
    for message in log:
        if message["type"] == "diagnostic" and message["diagnostic"]["severity"] == "error":
            where = message.get("@testrun", message.get("@testfile", ""))
            yield f"{where}: {message['diagnostic']['summary']}: {message['diagnostic'].get('detail', '')}"
        elif message["type"] == "test_cleanup":
            yield f"not removed: {message['test_cleanup']}"
    summaries = [message["test_summary"] for message in log if message["type"] == "test_summary"]
    if [summary["status"] for summary in summaries] != ["pass"] or summaries[0]["passed"] == 0:
        yield f"terraform test did not pass: {summaries}"


# Policies.


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


def in_store(bucket, key):
    return f"arn:aws:s3:::{bucket}/{PREFIX}/{key}"


OBJECTS = [f"{folder}/ab/abcd" for folder in IMMUTABLE] + ["heads/kusama/rocksdb-pruned.json", "index.json", "store.json"]
SECRET = ["gc/state.json", "usage/state.json", "probe", "whatever"]
# What nobody needs to publish, to delete what is not needed, or to read.
DANGEROUS_OBJECT = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObjectAcl", "s3:PutObjectVersionAcl", "s3:PutObjectRetention", "s3:BypassGovernanceRetention", "s3:ReplicateDelete"]
DANGEROUS_BUCKET = [
    "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy", "s3:PutBucketAcl", "s3:PutBucketVersioning", "s3:PutBucketRequestPayment", "s3:PutBucketLogging",
    "s3:PutBucketPublicAccessBlock", "s3:PutLifecycleConfiguration", "s3:PutEncryptionConfiguration", "s3:PutReplicationConfiguration", "s3:PutBucketOwnershipControls", "s3:PutMetricsConfiguration",
]
DANGEROUS_ELSEWHERE = [
    "iam:PassRole", "iam:PutRolePolicy", "iam:CreateAccessKey", "iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "cloudfront:UpdateDistribution", "cloudfront:DeleteDistribution",
    "cloudwatch:DeleteAlarms", "cloudwatch:DisableAlarmActions", "cloudwatch:PutMetricAlarm", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "logs:DeleteLogGroup", "budgets:ModifyBudget",
]


def readers_questions(model, named, repair):
    """What readers may, and nobody else: pairs of a request and whether it is allowed."""
    for bucket in model.readers_pay:
        for key in OBJECTS:
            yield Request(f"account:{STRANGER}", "s3:GetObject", in_store(bucket, key)), not named
            yield Request("anonymous", "s3:GetObject", in_store(bucket, key)), False
            yield Request(f"account:{STRANGER}", "s3:GetObject", in_store(bucket, key), aws__SecureTransport="false"), False
            for reader in named:
                yield Request(f"account:{reader}", "s3:GetObject", in_store(bucket, key)), True
        yield Request(f"account:{STRANGER}", "s3:ListBucket", f"arn:aws:s3:::{bucket}"), not named
        yield Request("anonymous", "s3:ListBucket", f"arn:aws:s3:::{bucket}"), False
        yield Request(f"account:{STRANGER}", "s3:GetObject", f"arn:aws:s3:::{bucket}/elsewhere/chunks/ab/abcd"), False
    everybody = ["anonymous", f"account:{STRANGER}", f"account:{OWNER}", "service:cloudfront.amazonaws.com", *(f"account:{reader}" for reader in named)]
    for bucket in model.buckets.values():
        for who in everybody:
            for action in ["s3:PutObject", *DANGEROUS_OBJECT]:
                for key in OBJECTS + SECRET:
                    yield Request(who, action, in_store(bucket, key), s3__if_none_match="*"), False
            for action in DANGEROUS_BUCKET:
                yield Request(who, action, f"arn:aws:s3:::{bucket}"), False
            for key in SECRET:
                yield Request(who, "s3:GetObject", in_store(bucket, key), aws__SourceArn=model.distribution["arn"]), False


def cdn_questions(model, named, repair):
    """The private bucket is read by this distribution, and by nobody else."""
    bucket, cloudfront = model.buckets["module.cdn"], "service:cloudfront.amazonaws.com"
    own, other = model.distribution["arn"], f"arn:aws:cloudfront::{STRANGER}:distribution/EOTHER"
    for who in ["anonymous", f"account:{STRANGER}", *(f"account:{reader}" for reader in named)]:
        for closed in (bucket, model.buckets["module.logs"]):
            yield Request(who, "s3:ListBucket", f"arn:aws:s3:::{closed}"), False
            for key in OBJECTS:
                yield Request(who, "s3:GetObject", in_store(closed, key)), False
    for key in OBJECTS:
        yield Request(cloudfront, "s3:GetObject", in_store(bucket, key), aws__SourceArn=own), True
        yield Request(cloudfront, "s3:GetObject", in_store(bucket, key), aws__SourceArn=other), False
    yield Request(cloudfront, "s3:ListBucket", f"arn:aws:s3:::{bucket}", aws__SourceArn=own), True
    yield Request(cloudfront, "s3:ListBucket", f"arn:aws:s3:::{bucket}", aws__SourceArn=other), False


def publisher_questions(model, named, repair):
    """A publisher writes what is new in its own network, and destroys nothing."""
    networks = {re.search(r'"(.*)"', module).group(1): module for module in model.roles if module.startswith("module.publisher")}
    for network, module in networks.items():
        who = f"role:{module}"
        for bucket in model.stores:
            for folder in IMMUTABLE:
                key = in_store(bucket, f"{folder}/ab/abcd")
                yield Request(who, "s3:PutObject", key, s3__if_none_match="*"), True
                yield Request(who, "s3:PutObject", key), False
                yield Request(who, "s3:PutObject", key, s3__if_match="etag"), repair
                yield Request(who, "s3:PutObject", key, s3__if_none_match="*", aws__SecureTransport="false"), False
            for key in [f"heads/{network}/rocksdb-pruned.json", "index.json", "store.json", "probe", "gc/state.json", "usage/state.json"]:
                yield Request(who, "s3:PutObject", in_store(bucket, key)), True
                yield Request(who, "s3:GetObject", in_store(bucket, key)), True
            for other in networks:
                if other != network:
                    yield Request(who, "s3:PutObject", in_store(bucket, f"heads/{other}/rocksdb-pruned.json")), False
            yield Request(who, "s3:PutObject", f"arn:aws:s3:::{bucket}/elsewhere/x"), False
            yield Request(who, "s3:PutObject", in_store(bucket, "elsewhere")), False
            yield Request(who, "s3:ListBucket", f"arn:aws:s3:::{bucket}"), True
        for bucket in [model.buckets["module.logs"], "other-bucket"]:
            for action in ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]:
                yield Request(who, action, in_store(bucket, "x")), False
        yield Request(who, "cloudfront:CreateInvalidation", model.distribution["arn"]), True
        yield Request(who, "cloudfront:CreateInvalidation", f"arn:aws:cloudfront::{OWNER}:distribution/EOTHER"), False
        yield Request(who, "cloudwatch:PutMetricData", "*", cloudwatch__namespace="QSync"), True
        yield Request(who, "cloudwatch:PutMetricData", "*", cloudwatch__namespace="AWS/S3"), False
        yield Request(who, "cloudwatch:GetMetricData", "*"), True
        yield Request(who, "sns:Publish", model.topics["module.alarms"]), True
        yield Request(who, "sns:Publish", f"arn:aws:sns:eu-central-1:{OWNER}:other"), False


def gc_questions(model, named, repair):
    """gc deletes what it can condemn, and touches neither heads nor roots."""
    for who in [f"role:{module}" for module in model.roles if module.startswith("module.gc")]:
        for bucket in model.stores:
            for folder in IMMUTABLE:
                key = in_store(bucket, f"{folder}/ab/abcd")
                yield Request(who, "s3:DeleteObject", key), folder != "root"
                yield Request(who, "s3:PutObject", key, s3__if_none_match="*"), False
                yield Request(who, "s3:GetObject", key), True
            for key in ["heads/kusama/rocksdb-pruned.json", "index.json", "store.json", "usage/state.json", "gc/state.json"]:
                yield Request(who, "s3:DeleteObject", in_store(bucket, key)), False
                yield Request(who, "s3:PutObject", in_store(bucket, key)), key == "gc/state.json"
            yield Request(who, "s3:DeleteObjectVersion", in_store(bucket, "chunks/ab/abcd")), False
        yield Request(who, "s3:DeleteObject", in_store(model.buckets["module.logs"], "chunks/ab/abcd")), False
        yield Request(who, "cloudfront:CreateInvalidation", model.distribution["arn"]), False
        yield Request(who, "sns:Publish", model.topics["module.alarms"]), False


def roles_questions(model, named, repair):
    """No role changes what guards it."""
    for module in model.roles:
        who = f"role:{module}"
        for bucket in model.buckets.values():
            for action in DANGEROUS_BUCKET:
                yield Request(who, action, f"arn:aws:s3:::{bucket}"), False
            for action in DANGEROUS_OBJECT:
                for key in OBJECTS + SECRET:
                    if not (module.startswith("module.gc") and action == "s3:DeleteObject"):
                        yield Request(who, action, in_store(bucket, key)), False
        for action in DANGEROUS_ELSEWHERE:
            for resource in ["*", f"arn:aws:iam::{OWNER}:role/example-gc", model.distribution["arn"], model.topics["module.alarms"]]:
                yield Request(who, action, resource), False


def policy_breaches(model, named, repair):
    for questions in (readers_questions, cdn_questions, publisher_questions, gc_questions, roles_questions):
        for request, expected in questions(model, named, repair):
            if model.allowed(request) != expected:
                context = {key: value for key, value in request.context.items() if not key.startswith(("aws:Secure", "aws:Principal"))}
                yield f"{request.who} {'may not' if expected else 'may'} {request.action} {request.resource} {context or ''}".rstrip()


# Who may take a role.


def trust_breaches(model):
    for module, statements in model.trusts.items():
        for statement in statements:
            principal = statement["Principal"]
            conditions = {key: value for pairs in statement.get("Condition", {}).values() for key, value in pairs.items()}
            if principal == "*" or any("*" in one or one.endswith(":root") for one in listed(principal.get("AWS", []))):
                yield f"{module}: everybody, or a whole account, may take the role"
            if "Federated" in principal and not {"sub", "aud"} <= {key.rsplit(":", 1)[-1] for key in conditions}:
                yield f"{module}: whoever has an account at the OIDC provider may take the role"
            if "rolesanywhere.amazonaws.com" in listed(principal.get("Service", [])) and "aws:SourceArn" not in conditions:
                yield f"{module}: certificates of any trust anchor may take the role"
    kinds = {change["type"] for change in model.plan.values()}
    for kind in kinds & {"aws_iam_user", "aws_iam_access_key", "aws_iam_user_policy", "aws_kms_key"}:
        yield f"there is a resource {kind}"


# Buckets.


def bucket_breaches(model, log_days):
    for module, name in model.buckets.items():
        if model.plan[f"{module}.aws_s3_bucket.this"]["change"]["after"]["force_destroy"] is not False:
            yield f"{name}: terraform deletes it with all that is in it"
        payment = model.setting("aws_s3_bucket_request_payment_configuration", name)
        if (name in model.readers_pay) != ((payment or {}).get("payer") == "Requester"):
            yield f"{name}: requester pays is {payment and payment['payer']}"
        if model.setting("aws_s3_bucket_versioning", name)["versioning_configuration"][0]["status"] != "Enabled":
            yield f"{name}: what is deleted or replaced is lost at once"
        if model.setting("aws_s3_bucket_ownership_controls", name)["rule"][0]["object_ownership"] != "BucketOwnerEnforced":
            yield f"{name}: ACLs count"
        encryption = model.setting("aws_s3_bucket_server_side_encryption_configuration", name)["rule"][0]["apply_server_side_encryption_by_default"][0]
        if encryption["sse_algorithm"] != "AES256":
            yield f"{name}: encrypted by {encryption['sse_algorithm']}, which readers have no key for"
        block = model.setting("aws_s3_bucket_public_access_block", name)
        if not (block["block_public_acls"] and block["ignore_public_acls"]):
            yield f"{name}: public ACLs count"
        if name not in model.readers_pay and not (block["block_public_policy"] and block["restrict_public_buckets"]):
            yield f"{name}: a public policy is taken"
        yield from lifecycle_breaches(model, name, log_days if module == "module.logs" else None)


def lifecycle_breaches(model, name, days):
    rules = model.setting("aws_s3_bucket_lifecycle_configuration", name)["rule"]
    if any(rule["status"] != "Enabled" for rule in rules):
        yield f"{name}: a lifecycle rule is off"
    if not any(part["days_after_initiation"] <= 7 for rule in rules for part in rule["abort_incomplete_multipart_upload"]):
        yield f"{name}: uploads that were cut off are kept, and paid for"
    if any(rule["transition"] or rule["noncurrent_version_transition"] for rule in rules):
        yield f"{name}: objects move to a class whose every read costs the owner"
    if any(part["noncurrent_days"] < 7 for rule in rules for part in rule["noncurrent_version_expiration"]):
        yield f"{name}: a mistake must be noticed within {rules}"
    ends = [part["days"] for rule in rules for part in rule["expiration"] if part.get("days")]
    if ends != ([] if days is None else [days]):
        yield f"{name}: objects end after {ends or 'no'} days, expected {days or 'none'}"


# CDN, logs.


def cdn_breaches(model):
    caches = {address: after for address, after in model.of_type("aws_cloudfront_cache_policy")}
    if any(after["min_ttl"] != 0 for after in caches.values()) or max(caches['aws_cloudfront_cache_policy.this["replaced"]'][key] for key in ("default_ttl", "max_ttl")) > 60:
        yield "the CDN keeps heads for longer than a minute"
    behaviors = model.distribution["default_cache_behavior"] + model.distribution["ordered_cache_behavior"]
    if any(set(one["allowed_methods"]) != {"GET", "HEAD"} for one in behaviors):
        yield "the CDN passes on more than GET and HEAD"
    if any(one["viewer_protocol_policy"] not in ("redirect-to-https", "https-only") for one in behaviors):
        yield "the CDN answers without TLS"
    if any(one["compress"] for one in behaviors):
        yield "the CDN compresses what is compressed, and qsync refuses it"
    if {one["path_pattern"] for one in model.distribution["ordered_cache_behavior"]} != {f"/{PREFIX}/{folder}/*" for folder in IMMUTABLE}:
        yield "the CDN keeps for a year what is replaced, or for a minute what never changes"
    # Its id is known when it is made.
    origin = model.plan["aws_cloudfront_distribution.this"]["change"]["after_unknown"]["origin"]
    if not any(one.get("origin_access_control_id") for one in origin if isinstance(one, dict)) and not any(one.get("origin_access_control_id") for one in model.distribution["origin"]):
        yield "the CDN reads the bucket without saying who it is"
    controls = [after for _, after in model.of_type("aws_cloudfront_origin_access_control")]
    if [one["signing_behavior"] for one in controls] != ["always"]:
        yield "the CDN does not sign each request to the bucket"
    if any(one["error_caching_min_ttl"] > 10 for one in model.distribution["custom_error_response"]) or 404 not in [one["error_code"] for one in model.distribution["custom_error_response"]]:
        yield "the CDN remembers for longer than 10 s that an object is absent"
    for address, after in model.of_type("aws_cloudwatch_log_delivery"):
        if not after["record_fields"] or ADDRESSES & set(after["record_fields"]):
            yield f"{address}: logs say who asked"
    if model.distribution["logging_config"]:
        yield "the older logs of CloudFront hold the addresses of clients"


# Alarms.


def alarm_breaches(model, steps):
    reached = set()
    for address, after in model.of_type("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
        module = Model.module(address)
        actions = set(after["alarm_actions"] or [])
        if actions and actions != {model.topics[module]}:
            yield f"{address}: reaches {actions}, expected the topic of its own region, {model.topics[module]}"
        if actions:
            reached.add(module)
        if not actions and not any(f'"{after["alarm_name"]}"' in rule["alarm_rule"] for _, rule in model.of_type("aws_cloudwatch_composite_alarm")):
            yield f"{address}: reaches nobody"
        yield from metric_breaches(model, address, module, after)
    for module, topic in model.topics.items():
        if module not in reached:
            yield f"{module}: a topic that no alarm reaches"
        if not any(Model.module(address) == module for address, _ in model.of_type("aws_sns_topic_subscription")):
            yield f"{module}: a topic that nobody hears"
        policy = json.loads(dict(model.of_type("aws_sns_topic_policy"))[f"{module}.aws_sns_topic_policy.this"]["policy"])["Statement"]
        for statement in policy:
            if statement["Effect"] == "Allow" and (statement["Principal"] in ("*", {"AWS": "*"}) or "aws:SourceAccount" not in str(statement.get("Condition"))):
                yield f"{module}: other accounts can raise alarms"
    budgets = dict(model.of_type("aws_budgets_budget"))
    told = sorted(one["threshold"] for one in budgets["aws_budgets_budget.transfer"]["notification"])
    if told != [step * 1024 for step in steps]:
        yield f"the budget tells at {told} GB, expected each of {steps} TB"
    for address, after in budgets.items():
        if any(set(one["subscriber_sns_topic_arns"]) != {model.topics["module.alarms"]} for one in after["notification"]):
            yield f"{address}: tells nobody"


def metric_breaches(model, address, module, after):
    for query in after.get("metric_query") or []:
        for metric in query["metric"] or []:
            region = model.topics[module].split(":")[3]
            if metric["namespace"] == "AWS/CloudFront" and region != "us-east-1":
                yield f"{address}: CloudFront has no metrics in {region}"
            if metric["namespace"] == "AWS/S3" and metric["dimensions"]["BucketName"] != model.buckets[{"module.alarms": "module.raw", "module.alarms_second[0]": "module.second[0]"}[module]]:
                yield f"{address}: looks at a bucket of another region"
            silence_is_bad = metric["metric_name"] in ("qsync_publish_last_success_timestamp_seconds", "MonthToDateBytes")
            if silence_is_bad != (after["treat_missing_data"] == "breaching"):
                yield f"{address}: silence counts as {after['treat_missing_data']}"


# Each run of tests/plans.tftest.hcl, and what is particular about it.
RUNS = {
    "everything": {"named": [], "repair": False, "log_days": 90, "steps": [1, 5, 20]},
    "least": {"named": [], "repair": False, "log_days": 90, "steps": [1, 5, 20]},
    "named_readers": {"named": ["444455556666"], "repair": False, "log_days": 90, "steps": [1, 5, 20]},
    "repair": {"named": [], "repair": True, "log_days": 90, "steps": [1, 5, 20]},
}


def breaches(plan, run):
    model, expected = Model(plan), RUNS[run]
    yield from policy_breaches(model, expected["named"], expected["repair"])
    yield from trust_breaches(model)
    yield from bucket_breaches(model, expected["log_days"])
    yield from cdn_breaches(model)
    yield from alarm_breaches(model, expected["steps"])


def change_breaches(runs):
    """`unchanged` changes nothing, and no other run deletes or replaces."""
    for run, plan in runs.items():
        actions = {address: tuple(change["change"]["actions"]) for address, change in plan.items()}
        for address, action in actions.items():
            if "delete" in action and run != "made":
                yield f"{run}: {address} is {'replaced' if 'create' in action else 'deleted'}"
            if run == "unchanged" and action != ("no-op",):
                yield f"unchanged: {address} would be changed again: {action}"
    grown = {address for address, change in runs["grown"].items() if change["change"]["actions"] == ["update"]}
    if grown - {"aws_cloudfront_distribution.this"}:
        yield f"one more network and another price class change {sorted(grown)}, expected the distribution alone"
    if runs["grown"]["aws_cloudfront_distribution.this"]["change"]["actions"] != ["update"]:
        yield "another price class does not change the distribution"


# Breaking each rule once.


def statements_of(plan, address, key="policy"):
    return json.loads(plan[address]["change"]["after"][key])["Statement"]


def set_statements(plan, address, statements, key="policy"):
    plan[address]["change"]["after"][key] = json.dumps({"Version": "2012-10-17", "Statement": statements})


def adds(address, statement):
    return lambda plan: set_statements(plan, address, [*statements_of(plan, address), statement])


def drops(address, sid):
    return lambda plan: set_statements(plan, address, [one for one in statements_of(plan, address) if one["Sid"] != sid])


def widens(address, sid, key, value, policy="policy"):
    return lambda plan: set_statements(plan, address, [one | {key: value} if one["Sid"] == sid else one for one in statements_of(plan, address, policy)], policy)


def sets(address, path, value):
    def change(plan):
        place = plan[address]["change"]["after"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def anybody(action, resource):
    return {"Sid": "Broken", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": action, "Resource": resource}


def role(action, resource):
    return {"Sid": "Broken", "Effect": "Allow", "Action": action, "Resource": resource}


RAW, CDN, LOGS = (f"module.{name}.aws_s3_bucket_policy.this" for name in ("raw", "cdn", "logs"))
PUBLISHER, GC = 'module.publisher["kusama"].aws_iam_role_policy.this', "module.gc[0].aws_iam_role_policy.this"
BREAKS = {
    "requester pays": sets("module.raw.aws_s3_bucket_request_payment_configuration.this[0]", ["payer"], "BucketOwner"),
    "requester pays of the second region": lambda plan: plan.pop("module.second[0].aws_s3_bucket_request_payment_configuration.this[0]"),
    "the public writes": adds(RAW, anybody("s3:PutObject", "arn:aws:s3:::example-raw/*")),
    "the public deletes versions": adds(RAW, anybody("s3:DeleteObject*", "arn:aws:s3:::example-raw/*")),
    "the public reads gc": adds(RAW, anybody("s3:GetObject", "arn:aws:s3:::example-raw/v1/gc/*")),
    "the public reads usage": adds(RAW, anybody("s3:GetObject", "arn:aws:s3:::example-raw/v1/*")),
    "the public reads the CDN's bucket": adds(CDN, anybody("s3:GetObject", "arn:aws:s3:::example-cdn/v1/chunks/*")),
    "the public lists the CDN's bucket": adds(CDN, anybody("s3:ListBucket", "arn:aws:s3:::example-cdn")),
    "the public reads logs": adds(LOGS, anybody("s3:Get*", "arn:aws:s3:::example-logs/*")),
    "anonymous readers": drops(RAW, "NobodyAnonymous"),
    "without TLS": drops(RAW, "NobodyWithoutTls"),
    "overwriting in raw": drops(RAW, "NobodyOverwrites"),
    "overwriting in cdn": drops(CDN, "NobodyOverwrites"),
    "overwriting roots": widens(CDN, "NobodyOverwrites", "Resource", [f"arn:aws:s3:::example-cdn/v1/{folder}/*" for folder in IMMUTABLE if folder != "root"]),
    "overwriting with if-match": widens(RAW, "NobodyOverwrites", "Condition", {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}}),
    "any distribution": widens(CDN, "TheDistributionReads", "Condition", {}),
    "the CDN reads gc": widens(CDN, "TheDistributionReads", "Resource", "arn:aws:s3:::example-cdn/v1/*"),
    "the CDN cannot tell what is absent": drops(CDN, "TheDistributionLearnsWhatIsAbsent"),
    "the publisher deletes": adds(PUBLISHER, role("s3:DeleteObject", "arn:aws:s3:::example-raw/v1/chunks/*")),
    "the publisher may everything": adds(PUBLISHER, role("s3:*", "arn:aws:s3:::example-raw/*")),
    "the publisher changes policies": adds(PUBLISHER, role("s3:PutBucketPolicy", "*")),
    "the publisher writes elsewhere": adds(PUBLISHER, role("s3:PutObject", "arn:aws:s3:::example-raw/*")),
    "the publisher writes heads of others": adds(PUBLISHER, role("s3:PutObject", "arn:aws:s3:::example-cdn/v1/heads/*")),
    "the publisher reads logs": adds(PUBLISHER, role("s3:GetObject", "arn:aws:s3:::*")),
    "the publisher puts any metrics": widens(PUBLISHER, "CountWhatWasDownloaded", "Condition", {}),
    "the publisher changes the CDN": adds(PUBLISHER, role("cloudfront:*", "*")),
    "the publisher silences alarms": adds(PUBLISHER, role("cloudwatch:*", "*")),
    "the publisher takes other roles": adds(PUBLISHER, role("sts:AssumeRole", "*")),
    "the publisher cannot publish": drops(PUBLISHER, "Write"),
    "gc deletes heads": adds(GC, role("s3:DeleteObject", "arn:aws:s3:::example-raw/v1/heads/*")),
    "gc deletes roots": adds(GC, role("s3:DeleteObject", "arn:aws:s3:::example-raw/v1/*")),
    "gc writes heads": adds(GC, role("s3:PutObject", "arn:aws:s3:::example-raw/v1/heads/*")),
    "gc deletes versions": adds(GC, role("s3:DeleteObjectVersion", "arn:aws:s3:::example-raw/v1/chunks/*")),
    "gc forgets what is condemned": drops(GC, "RememberWhatIsCondemned"),
    "everybody takes the role": widens("module.gc[0].aws_iam_role.this", "Principals", "Principal", {"AWS": "*"}, "assume_role_policy"),
    "any subject takes the role": widens('module.publisher["polkadot"].aws_iam_role.this', "Oidc0", "Condition", {}, "assume_role_policy"),
    "terraform empties buckets": sets("module.raw.aws_s3_bucket.this", ["force_destroy"], True),
    "no versions": sets("module.cdn.aws_s3_bucket_versioning.this", ["versioning_configuration", 0, "status"], "Suspended"),
    "snapshots end": sets("module.raw.aws_s3_bucket_lifecycle_configuration.this", ["rule", 1, "expiration"], [{"days": 90}]),
    "snapshots freeze": sets("module.raw.aws_s3_bucket_lifecycle_configuration.this", ["rule", 0, "transition"], [{"days": 30, "storage_class": "GLACIER"}]),
    "logs stay": sets("module.logs.aws_s3_bucket_lifecycle_configuration.this", ["rule", 2, "expiration"], []),
    "KMS": sets("module.raw.aws_s3_bucket_server_side_encryption_configuration.this", ["rule", 0, "apply_server_side_encryption_by_default", 0, "sse_algorithm"], "aws:kms"),
    "public policies of the CDN's bucket": sets("module.cdn.aws_s3_bucket_public_access_block.this", ["block_public_policy"], False),
    "logs with addresses": lambda plan: plan["aws_cloudwatch_log_delivery.cdn[0]"]["change"]["after"]["record_fields"].append("c-ip"),
    "logs with all fields": sets("aws_cloudwatch_log_delivery.cdn[0]", ["record_fields"], None),
    "heads kept for a day": sets('aws_cloudfront_cache_policy.this["replaced"]', ["max_ttl"], 86400),
    "PUT through the CDN": sets("aws_cloudfront_distribution.this", ["default_cache_behavior", 0, "allowed_methods"], ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]),
    "the CDN without TLS": sets("aws_cloudfront_distribution.this", ["ordered_cache_behavior", 0, "viewer_protocol_policy"], "allow-all"),
    "the CDN compresses": sets("aws_cloudfront_distribution.this", ["default_cache_behavior", 0, "compress"], True),
    "absence remembered": sets("aws_cloudfront_distribution.this", ["custom_error_response", 0, "error_caching_min_ttl"], 300),
    "a topic of another region": sets('module.alarms_us_east_1.aws_cloudwatch_metric_alarm.this["cdn-errors"]', ["alarm_actions"], ["arn:aws:sns:eu-central-1:111122223333:example"]),
    "an alarm that reaches nobody": sets('module.alarms.aws_cloudwatch_metric_alarm.this["raw-errors"]', ["alarm_actions"], []),
    "a topic that nobody hears": lambda plan: plan.pop('module.alarms_second[0].aws_sns_topic_subscription.this["email:operator@example.org"]'),
    "CloudFront's metrics elsewhere": lambda plan: plan.update({"module.alarms.aws_cloudwatch_metric_alarm.this[\"x\"]": moved(plan, "module.alarms")}),
    "silence about snapshots is fine": sets('module.alarms.aws_cloudwatch_metric_alarm.this["kusama/rocksdb-pruned-stale"]', ["treat_missing_data"], "notBreaching"),
    "the budget leaves out a step": lambda plan: plan["aws_budgets_budget.transfer"]["change"]["after"]["notification"].pop(),
    "other accounts raise alarms": widens("module.alarms.aws_sns_topic_policy.this", "AlarmsAndBudgetsTell", "Condition", {}),
}
CHANGE_BREAKS = {
    "a bucket is replaced": ("grown", lambda plan: plan["module.raw.aws_s3_bucket.this"]["change"].update(actions=["delete", "create"])),
    "a role is deleted": ("everything_on", lambda plan: plan['module.publisher["kusama"].aws_iam_role.this']["change"].update(actions=["delete"])),
    "the same again changes something": ("unchanged", lambda plan: plan["module.raw.aws_s3_bucket_policy.this"]["change"].update(actions=["update"])),
    "a network changes another": ("grown", lambda plan: plan['module.publisher["kusama"].aws_iam_role_policy.this']["change"].update(actions=["update"])),
}


def moved(plan, module):
    """An alarm of CloudFront, in the module of another region."""
    alarm = copy.deepcopy(plan['module.alarms_us_east_1.aws_cloudwatch_metric_alarm.this["cdn-errors"]'])
    alarm["change"]["after"]["alarm_actions"] = [Model(plan).topics[module]]
    return alarm


def self_test(log):
    """A rule that finds nothing is no rule."""
    found = plans(log)
    if "everything" in found:
        for name, change in BREAKS.items():
            plan = copy.deepcopy(found["everything"])
            change(plan)
            if not list(breaches(plan, "everything")):
                yield f"nothing found: {name}"
    else:
        for name, (run, change) in CHANGE_BREAKS.items():
            broken = copy.deepcopy(found)
            change(broken[run])
            if not list(change_breaches(broken)):
                yield f"nothing found: {name}"


# Words.


def blocks(text, kind):
    """Blocks at the left margin, by name, as fmt writes them."""
    return {match.group(1): match.group(2) for match in re.finditer(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.M | re.S)}


def word_breaches(folder):
    folder = pathlib.Path(folder)
    readme = (folder / "README.md").read_text()
    yield from cost_breaches(readme)
    for path in sorted(folder.rglob("*.tf")):
        text = path.read_text()
        top = path.parent == folder / "modules/quicksync"
        for name, body in blocks(text, "variable").items():
            if not re.search(r"^  description +=", body, re.M) or not re.search(r"^  type +=", body, re.M):
                yield f"{path}: variable {name} has no type or no description"
            if top and not re.search(r"^  validation {", body, re.M) and not re.search(r"^  type +=\s+bool$", body, re.M):
                yield f"{path}: variable {name} takes whatever it is given"
            if top and not re.search(rf"^\| .*`{name}`.* \|", readme, re.M):
                yield f"README.md: no variable {name}"
        for name, body in blocks(text, "output").items():
            if not re.search(r"^  description +=", body, re.M):
                yield f"{path}: output {name} has no description"
            if top and not re.search(rf"^\| .*`{name}`.* \|", readme, re.M):
                yield f"README.md: no output {name}"
        for number, line in enumerate(text.splitlines(), 1):
            if "checkov:skip" in line and not re.fullmatch(r"\s*#checkov:skip=CKV2?_AWS_\d+:\S.{14,}", line):
                yield f"{path}:{number}: a check is left out without a reason"


def cost_breaches(readme):
    """The figures of the README follow from those beside them."""
    storage = round(107.374 * 0.023, 2)
    idle = 2 * storage + 16 * 0.10 + 0.50 + 16 * 0.30 + 4 * 0.30
    requests = 50 * 1024 * 1024
    parts = [9 * 1024 * 0.085, 40 * 1024 * 0.080, (requests - 10_000_000) / 10_000 * 0.0100, requests / 1000 * 0.0004]
    for figure in [storage, idle, *parts, idle + sum(round(part, 2) for part in parts)]:
        if f"{figure:,.2f}" not in readme:
            yield f"README.md: a cost of {figure:,.2f} is computed, and not written"


def toml(log, run):
    for message in messages(log):
        if message["type"] == "test_plan" and message["@testrun"] == run:
            return message["test_plan"]["output_changes"]["qsync_toml"]["after"]
    raise KeyError(run)


def main(verb, *arguments):
    if verb == "toml":
        print(toml(*arguments), end="")
        return
    found = list({
        "runs": failures,
        "review": lambda log, run: breaches(plans(log)[run], run),
        "changes": lambda log: change_breaches(plans(log)),
        "self-test": self_test,
        "words": word_breaches,
    }[verb](*arguments))
    print("\n".join(found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
