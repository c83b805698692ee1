# A deployment that is changed, with made-up answers of AWS. Whether anything is deleted or replaced stands in the plan, which no assertion
# of terraform can see: .ci/terraform.py looks at it. The buckets cannot be destroyed, so that this file runs on a copy in which they can
# (.ci/terraform), and terraform test alone fails at its end.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:111122223333:example" }
  }
  mock_resource "aws_cloudfront_distribution" {
    defaults = { id = "E2EXAMPLE", arn = "arn:aws:cloudfront::111122223333:distribution/E2EXAMPLE", domain_name = "d111111abcdef8.cloudfront.net" }
  }
}

mock_provider "aws" {
  alias = "us_east_1"

  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:111122223333:example-us-east-1" }
  }
  mock_resource "aws_wafv2_web_acl" {
    defaults = { arn = "arn:aws:wafv2:us-east-1:111122223333:global/webacl/example/1" }
  }
  mock_resource "aws_cloudwatch_log_delivery_destination" {
    defaults = { arn = "arn:aws:logs:us-east-1:111122223333:delivery-destination:example" }
  }
}

mock_provider "aws" {
  alias = "second"

  mock_data "aws_region" {
    defaults = { name = "ap-southeast-1" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:ap-southeast-1:111122223333:example-second" }
  }
}

variables {
  name = "example"
  networks = {
    kusama = {
      profiles  = { rocksdb-pruned = {} }
      publisher = { ec2 = true }
    }
    polkadot = {
      profiles  = { rocksdb-pruned = {} }
      publisher = { ec2 = true }
    }
  }
  notify = [{ protocol = "email", endpoint = "operator@example.org" }]
}

run "made" {
  command = apply
}

run "unchanged" {
  command = plan
}

run "grown" {
  command = plan

  variables {
    networks = {
      kusama = {
        profiles  = { rocksdb-pruned = {} }
        publisher = { ec2 = true }
      }
      polkadot = {
        profiles  = { rocksdb-pruned = {} }
        publisher = { ec2 = true }
      }
      westend = {
        profiles  = { rocksdb-pruned = {} }
        publisher = { ec2 = true }
      }
    }
    price_class = "PriceClass_All"
  }

  assert {
    condition     = aws_cloudfront_distribution.this.price_class == "PriceClass_All" && length(module.publisher) == 3
    error_message = "The change was not made."
  }
}

run "everything_on" {
  command = plan

  variables {
    second_region          = true
    gc                     = { principals = ["arn:aws:iam::111122223333:role/retention"] }
    node_alarms            = true
    usage_alarm            = true
    requests_per_5_minutes = 2000000
    budget_usd             = 100
    raw_access_logs        = true
    repair_allowed         = true
    tb_steps               = [1, 2, 5, 20]
    log_retention_days     = 30
    reader_account_ids     = ["444455556666"]
  }
}
