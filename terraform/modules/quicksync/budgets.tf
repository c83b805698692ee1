# What AWS bills, which is the truth, a day late.

locals {
  # What CloudFront sends to the internet, by the part of the world it sends from.
  cdn_transfer = [for place in ["AP", "AU", "CA", "EU", "IN", "JP", "ME", "SA", "US", "ZA"] : "${place}-DataTransfer-Out-Bytes"]
}

resource "aws_budgets_budget" "transfer" {
  name         = "${var.name}-cdn-transfer"
  budget_type  = "USAGE"
  limit_amount = format("%.1f", max(var.tb_steps...) * 1024)
  limit_unit   = "GB"
  time_unit    = "MONTHLY"
  tags         = var.tags

  cost_filter {
    name   = "UsageType"
    values = local.cdn_transfer
  }

  dynamic "notification" {
    for_each = toset(var.tb_steps)

    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = "ACTUAL"
      threshold                 = notification.value * 1024
      threshold_type            = "ABSOLUTE_VALUE"
      subscriber_sns_topic_arns = [module.alarms.topic_arn]
    }
  }
}

resource "aws_budgets_budget" "money" {
  count        = var.budget_usd == null ? 0 : 1
  name         = "${var.name}-money"
  budget_type  = "COST"
  limit_amount = format("%.1f", var.budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = var.tags

  dynamic "notification" {
    for_each = toset(["ACTUAL", "FORECASTED"])

    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value
      threshold                 = 100
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [module.alarms.topic_arn]
    }
  }
}
