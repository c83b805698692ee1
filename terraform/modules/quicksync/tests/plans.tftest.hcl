# Plans with the real provider, without an account: what a reviewer of the security would ask, as far as one attribute answers it.
# What takes a whole policy, or a whole plan, to answer is asked by .ci/terraform.py of the same plans.

provider "aws" {
  region                      = "eu-central-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "us_east_1"
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "second"
  region                      = "ap-southeast-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "111122223333" }
}

# What policies refer to and only AWS can tell.
override_resource {
  target          = aws_cloudfront_distribution.this
  override_during = plan
  values = {
    id             = "E2EXAMPLE"
    arn            = "arn:aws:cloudfront::111122223333:distribution/E2EXAMPLE"
    domain_name    = "d111111abcdef8.cloudfront.net"
    hosted_zone_id = "Z2FDTNDATAQYW2"
  }
}

override_resource {
  target          = module.alarms.aws_sns_topic.this
  override_during = plan
  values          = { arn = "arn:aws:sns:eu-central-1:111122223333:example" }
}

override_resource {
  target          = module.alarms_us_east_1.aws_sns_topic.this
  override_during = plan
  values          = { arn = "arn:aws:sns:us-east-1:111122223333:example-us-east-1" }
}

override_resource {
  target          = module.alarms_second[0].aws_sns_topic.this
  override_during = plan
  values          = { arn = "arn:aws:sns:ap-southeast-1:111122223333:example-second" }
}

variables {
  name = "example"
  networks = {
    kusama = {
      profiles  = { rocksdb-pruned = { min_height = 24000000 } }
      publisher = { ec2 = true }
    }
    polkadot = {
      profiles = { rocksdb-pruned = {} }
      publisher = {
        oidc = [{
          provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.example.org"
          subjects     = ["repo:example/snapshots:ref:refs/heads/main"]
        }]
      }
    }
    westend = {
      profiles  = { rocksdb-pruned = {} }
      publisher = { principals = ["arn:aws:iam::111122223333:role/westend"] }
    }
  }
  notify = [{ protocol = "email", endpoint = "operator@example.org" }]
}

run "everything" {
  command = plan

  variables {
    second_region          = true
    gc                     = { principals = ["arn:aws:iam::111122223333:role/retention"] }
    raw_access_logs        = true
    domain                 = { name = "cdn.example.org", zone_id = "Z0123456789EXAMPLE" }
    requests_per_5_minutes = 2000000
    budget_usd             = 100
    usage_alarm            = true
    node_alarms            = true
    agent_listen           = "127.0.0.1:9187"
  }

  assert {
    condition     = module.raw.payer == "Requester" && module.second[0].payer == "Requester"
    error_message = "Readers do not pay."
  }
  assert {
    condition     = module.cdn.payer == null && module.logs.payer == null
    error_message = "CloudFront cannot read a bucket whose readers pay, and S3 cannot log into one."
  }
  assert {
    condition     = module.cdn.public_policy_blocked && module.logs.public_policy_blocked
    error_message = "A bucket that nobody reads but AWS takes a public policy."
  }
  assert {
    condition     = length(setintersection(local.logged, ["c-ip", "c-port", "x-forwarded-for", "c-country", "asn", "cs(User-Agent)", "cs(Referer)", "cs(Cookie)", "cs-uri-query"])) == 0
    error_message = "Logs of the CDN say who asked."
  }
  assert {
    condition     = aws_cloudwatch_log_delivery.cdn[0].record_fields == tolist(local.logged)
    error_message = "The CDN logs other fields than were looked at."
  }
  assert {
    condition     = alltrue([for arn in values(module.alarms.alarm_actions) : arn == tolist(["arn:aws:sns:eu-central-1:111122223333:example"])]) && module.alarms.region == "eu-central-1"
    error_message = "An alarm of the first region reaches a topic of another."
  }
  assert {
    condition     = alltrue([for arn in values(module.alarms_us_east_1.alarm_actions) : arn == tolist(["arn:aws:sns:us-east-1:111122223333:example-us-east-1"])]) && module.alarms_us_east_1.region == "us-east-1"
    error_message = "An alarm of CloudFront reaches a topic of another region than us-east-1."
  }
  assert {
    condition     = alltrue([for arn in values(module.alarms_second[0].alarm_actions) : arn == tolist(["arn:aws:sns:ap-southeast-1:111122223333:example-second"])]) && module.alarms_second[0].region == "ap-southeast-1"
    error_message = "An alarm of the second region reaches a topic of another."
  }
  assert {
    condition     = length(module.alarms_us_east_1.alarm_actions) == 2 * 3 + 2 && length(module.alarms.alarm_actions) == (2 * 3 + 1) + 1 + (3 * 3 + 1) && length(module.alarms_second[0].alarm_actions) == 2 * 3 + 1
    error_message = "There is not an alarm for each step and window, for errors, for the silence of usage tick, and for each channel."
  }
  assert {
    condition     = !strcontains(module.publisher["kusama"].policy, "heads/polkadot") && strcontains(module.publisher["kusama"].policy, "heads/kusama/*")
    error_message = "The publisher of one network writes heads of another."
  }
  assert {
    condition     = aws_cloudfront_distribution.this.viewer_certificate[0].minimum_protocol_version == "TLSv1.2_2021"
    error_message = "The CDN takes old versions of TLS under a domain of one's own."
  }
  assert {
    condition     = toset(keys(output.qsync_toml_by_network)) == toset(["kusama", "polkadot", "westend"]) && !strcontains(output.qsync_toml_by_network["kusama"], "polkadot") && !strcontains(output.qsync_toml_by_network["kusama"], "[usage]")
    error_message = "The configuration of one network tells of another, or counts downloads a second time."
  }
}

run "least" {
  command = plan

  assert {
    condition     = length(module.gc) == 0 && length(module.second) == 0 && length(aws_wafv2_web_acl.this) == 0 && length(aws_route53_record.cdn) == 0 && length(aws_cloudwatch_log_group.node) == 0
    error_message = "Something is made that nobody asked for."
  }
  assert {
    condition     = strcontains(output.qsync_toml, "url = \"s3://example-raw/v1?region=eu-central-1&requester_pays=true&owner=111122223333\"")
    error_message = "The store whose readers pay is not in the configuration."
  }
  assert {
    condition     = strcontains(output.qsync_toml, "cdn=https://d111111abcdef8.cloudfront.net/v1&distribution=E2EXAMPLE")
    error_message = "The CDN is not in the configuration."
  }
  assert {
    condition     = strcontains(output.qsync_toml, "sources = [{ store = \"cdn\", distribution = \"E2EXAMPLE\" }, { store = \"raw\", bucket = \"example-raw\", region = \"eu-central-1\", filter_id = \"all\" }]")
    error_message = "The configuration does not say where downloads are counted."
  }
}

run "named_readers" {
  command = plan

  variables {
    reader_account_ids = ["444455556666"]
  }

  assert {
    condition     = module.raw.public_policy_blocked && strcontains(module.raw.policy, "arn:aws:iam::444455556666:root") && !strcontains(module.raw.policy, "\"AWS\":[\"*\"]")
    error_message = "Where readers are named others can read too."
  }
}

run "repair" {
  command = plan

  variables {
    repair_allowed = true
  }
}
