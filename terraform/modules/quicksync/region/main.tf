# The alarms of one region, and the topic that they reach: an alarm can only reach a topic of its own region.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }
}

data "aws_region" "this" {}

resource "aws_sns_topic" "this" {
  #checkov:skip=CKV_AWS_26:CloudWatch and Budgets cannot publish to a topic under the key alias/aws/sns; what is said is no secret.
  name = var.name
  tags = var.tags
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AlarmsAndBudgetsTell"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"] }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
      {
        Sid       = "NobodyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.this.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "this" {
  for_each  = { for one in var.notify : "${one.protocol}:${one.endpoint}" => one }
  topic_arn = aws_sns_topic.this.arn
  protocol  = each.value.protocol
  endpoint  = each.value.endpoint
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = var.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  treat_missing_data  = each.value.missing
  alarm_actions       = each.value.silent ? [] : [aws_sns_topic.this.arn]
  ok_actions          = each.value.silent ? [] : [aws_sns_topic.this.arn]
  tags                = var.tags

  metric_query {
    id          = "shown"
    expression  = each.value.expression
    label       = each.value.label
    return_data = true
  }

  metric_query {
    id          = "m"
    return_data = false

    metric {
      namespace   = each.value.namespace
      metric_name = each.value.metric
      dimensions  = each.value.dimensions
      stat        = each.value.stat
      period      = each.value.period_seconds
    }
  }
}

# Alarms that only together mean something.
resource "aws_cloudwatch_composite_alarm" "this" {
  for_each          = var.both
  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.description
  alarm_rule        = join(" AND ", [for alarm in each.value.alarms : "ALARM(\"${var.name}-${alarm}\")"])
  alarm_actions     = [aws_sns_topic.this.arn]
  ok_actions        = [aws_sns_topic.this.arn]
  tags              = var.tags

  depends_on = [aws_cloudwatch_metric_alarm.this]
}
