# A limit on requests of one address, where it is asked for.

resource "aws_wafv2_web_acl" "this" {
  #checkov:skip=CKV_AWS_192:Nothing behind it runs Log4j: it is a bucket.
  #checkov:skip=CKV2_AWS_31:Its logs hold the addresses of clients. The metrics count what it refuses.
  count    = var.requests_per_5_minutes == null ? 0 : 1
  provider = aws.us_east_1
  name     = var.name
  scope    = "CLOUDFRONT"
  tags     = var.tags

  default_action {
    allow {}
  }

  rule {
    name     = "requests-of-one-address"
    priority = 1

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit                 = var.requests_per_5_minutes
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "${var.name}-requests-of-one-address"
      sampled_requests_enabled   = false
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = false
  }
}
