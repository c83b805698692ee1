"""Breaks each rule of the review once, in plans that keep them all: a rule that finds nothing is no rule."""

import copy
import json

from terraform_plan import Model
from terraform_review import IMMUTABLE, breaches, change_breaches


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


def unnoticed(found):
    """The breaches that nobody finds in these plans."""
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
