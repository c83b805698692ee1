"""What a reviewer of the security would ask of a plan of terraform/."""

import json
import re

from terraform_plan import PREFIX, Model, Request, listed

OWNER, STRANGER = "111122223333", "999988887777"
IMMUTABLE = ["chunks", "lists", "manifests", "raw", "root"]
# Fields of access logs that say, or may say, who asked.
ADDRESSES = {"c-ip", "c-port", "x-forwarded-for", "c-country", "asn", "cs(User-Agent)", "cs(Referer)", "cs(Cookie)", "cs-uri-query"}


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
