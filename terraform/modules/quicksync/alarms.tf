# What is watched, region by region.

locals {
  day  = 86400
  week = 604800

  windows = { day = local.day, week = local.week }

  # "5-tb-in-a-day" and so on, with the window and the step of each.
  volumes = merge([
    for window, seconds in local.windows : {
      for step in var.tb_steps : "${step}-tb-in-a-${window}" => { window = window, seconds = seconds, step = step }
    }
  ]...)

  cdn_metric = {
    namespace  = "AWS/CloudFront"
    dimensions = { DistributionId = aws_cloudfront_distribution.this.id, Region = "Global" }
  }

  # What the objective leaves is gone in two days at 14.4 times the rate at which it lasts a month.
  burn_percent = 14.4 * (100 - var.availability_objective)

  cdn_volume_alarms = {
    for name, one in local.volumes : "cdn-${name}" => merge(local.cdn_metric, {
      description    = "${one.step} TB or more were downloaded from the CDN within a ${one.window}. It costs money: docs/costs.md."
      metric         = "BytesDownloaded"
      stat           = "Sum"
      period_seconds = one.seconds
      expression     = "m / ${var.tb_bytes}"
      label          = "TB in a ${one.window}"
      threshold      = one.step
    })
  }

  cdn_health_alarms = {
    cdn-errors = merge(local.cdn_metric, {
      description    = "At least 5 % of the CDN's answers were errors of the server, for 15 minutes."
      metric         = "5xxErrorRate"
      stat           = "Average"
      period_seconds = 300
      periods        = 3
      expression     = "m"
      label          = "% errors"
      threshold      = 5
    })
    cdn-burn-hour = merge(local.cdn_metric, {
      description    = "Part of cdn-burn: the hour."
      metric         = "5xxErrorRate"
      stat           = "Average"
      period_seconds = 3600
      expression     = "m"
      label          = "% errors in an hour"
      threshold      = local.burn_percent
      silent         = true
    })
    cdn-burn-now = merge(local.cdn_metric, {
      description    = "Part of cdn-burn: the last five minutes."
      metric         = "5xxErrorRate"
      stat           = "Average"
      period_seconds = 300
      expression     = "m"
      label          = "% errors in five minutes"
      threshold      = local.burn_percent
      silent         = true
    })
  }

  # For each bucket whose readers pay.
  raw_alarms = {
    for bucket in setsubtract(local.stores, [local.cdn]) : bucket => merge(
      {
        for name, one in local.volumes : "raw-${name}" => {
          description    = "${one.step} TB or more were downloaded from ${bucket} within a ${one.window}. Its readers pay."
          namespace      = "AWS/S3"
          dimensions     = { BucketName = bucket, FilterId = "all" }
          metric         = "BytesDownloaded"
          stat           = "Sum"
          period_seconds = one.seconds
          expression     = "m / ${var.tb_bytes}"
          label          = "TB in a ${one.window}"
          threshold      = one.step
        }
      },
      {
        raw-errors = {
          description    = "At least 5 % of the answers of ${bucket} were errors of the server, for 15 minutes."
          namespace      = "AWS/S3"
          dimensions     = { BucketName = bucket, FilterId = "all" }
          metric         = "5xxErrors"
          stat           = "Average"
          period_seconds = 300
          periods        = 3
          expression     = "m * 100"
          label          = "% errors"
          threshold      = 5
        }
      },
    )
  }

  usage_alarms = {
    for yes in var.usage && var.usage_alarm ? [true] : [] : "usage-silent" => {
      description    = "qsync usage tick has not said for six hours what was downloaded: nobody is told of terabytes."
      namespace      = "QSync"
      dimensions     = { Store = "cdn" }
      metric         = "MonthToDateBytes"
      stat           = "SampleCount"
      period_seconds = 3600
      periods        = 6
      expression     = "m"
      label          = "reports in an hour"
      comparison     = "LessThanThreshold"
      threshold      = 1
      missing        = "breaching"
    }
  }

  # Names of metrics: docs/operations.md.
  node_alarms = var.node_alarms ? merge([
    for channel, settings in local.channels : merge(
      {
        "${channel}-stale" = {
          description    = "No publish of ${channel} has ended well for ${var.stale_after_hours} h, or nobody says so. hint: qsync publish ${channel} --gate-only"
          metric         = "qsync_publish_last_success_timestamp_seconds"
          stat           = "Maximum"
          expression     = "IF(m > 0, (EPOCH(m) - m) / 3600)"
          label          = "hours since the last publish"
          comparison     = "GreaterThanOrEqualToThreshold"
          threshold      = var.stale_after_hours
          missing        = "breaching"
          namespace      = "QSync"
          dimensions     = { channel = channel }
          period_seconds = 300
          periods        = 3
        }
        "${channel}-head-expires" = {
          description    = "The head of ${channel} expires within 48 h. hint: qsync head refresh ${channel}"
          metric         = "qsync_head_expires_timestamp_seconds"
          stat           = "Maximum"
          expression     = "IF(m > 0, (m - EPOCH(m)) / 3600)"
          label          = "hours until the head expires"
          comparison     = "LessThanOrEqualToThreshold"
          threshold      = 48
          missing        = "ignore"
          namespace      = "QSync"
          dimensions     = { channel = channel }
          period_seconds = 300
          periods        = 3
        }
        "${channel}-node-stopped" = {
          description    = "A run of ${channel} has held the node stopped for 15 minutes. hint: qsync thaw ${channel}"
          metric         = "qsync_thaw_pending"
          stat           = "Maximum"
          expression     = "m"
          label          = "node stopped"
          comparison     = "GreaterThanOrEqualToThreshold"
          threshold      = 1
          missing        = "ignore"
          namespace      = "QSync"
          dimensions     = { channel = channel }
          period_seconds = 300
          periods        = 3
        }
      },
      {
        for height in settings.min_height == null ? [] : [settings.min_height] : "${channel}-low-height" => {
          description    = "The newest snapshot of ${channel} is below block ${height}. hint: qsync head withdraw ${channel}"
          metric         = "qsync_snapshot_height"
          stat           = "Minimum"
          expression     = "m"
          label          = "block height"
          comparison     = "LessThanThreshold"
          threshold      = height
          missing        = "ignore"
          namespace      = "QSync"
          dimensions     = { channel = channel }
          period_seconds = 300
          periods        = 3
        }
      },
    )
  ]...) : {}
}

module "alarms" {
  source = "./region"

  name       = var.name
  account_id = local.account
  notify     = var.notify
  alarms     = merge(local.raw_alarms[local.raw], local.usage_alarms, local.node_alarms)
  tags       = var.tags
}

module "alarms_us_east_1" {
  source    = "./region"
  providers = { aws = aws.us_east_1 }

  name       = "${var.name}-us-east-1"
  account_id = local.account
  notify     = var.notify
  alarms     = merge(local.cdn_volume_alarms, local.cdn_health_alarms)
  tags       = var.tags

  both = {
    cdn-burn = {
      description = "The CDN's answers burn what its objective of ${var.availability_objective} % leaves for a month within two days: ${local.burn_percent} % errors over an hour, and still."
      alarms      = ["cdn-burn-hour", "cdn-burn-now"]
    }
  }
}

module "alarms_second" {
  source    = "./region"
  count     = var.second_region ? 1 : 0
  providers = { aws = aws.second }

  name       = "${var.name}-second"
  account_id = local.account
  notify     = var.notify
  alarms     = local.raw_alarms[local.second]
  tags       = var.tags
}
