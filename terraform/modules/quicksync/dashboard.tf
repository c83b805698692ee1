# One page that shows what the alarms go by.

locals {
  raw_buckets = concat(
    [{ name = local.raw, region = local.region }],
    var.second_region ? [{ name = local.second, region = data.aws_region.second.name }] : [],
  )

  cdn_dimensions = ["DistributionId", aws_cloudfront_distribution.this.id, "Region", "Global"]

  # Each is a title, a region, a statistic, a period, and metrics. Two stand beside each other.
  graphs = concat(
    [
      {
        title   = "CDN: bytes a day"
        region  = "us-east-1"
        stat    = "Sum"
        period  = local.day
        metrics = [concat(["AWS/CloudFront", "BytesDownloaded"], local.cdn_dimensions)]
      },
      {
        title   = "CDN: % errors"
        region  = "us-east-1"
        stat    = "Average"
        period  = 300
        metrics = [for metric in ["4xxErrorRate", "5xxErrorRate"] : concat(["AWS/CloudFront", metric], local.cdn_dimensions)]
      },
    ],
    flatten([
      for bucket in local.raw_buckets : [
        {
          title   = "${bucket.name}: bytes a day"
          region  = bucket.region
          stat    = "Sum"
          period  = local.day
          metrics = [["AWS/S3", "BytesDownloaded", "BucketName", bucket.name, "FilterId", "all"]]
        },
        {
          title   = "${bucket.name}: errors"
          region  = bucket.region
          stat    = "Sum"
          period  = 300
          metrics = [for metric in ["4xxErrors", "5xxErrors"] : ["AWS/S3", metric, "BucketName", bucket.name, "FilterId", "all"]]
        },
      ]
    ]),
    [
      {
        title   = "Bytes of this month, by store"
        region  = local.region
        stat    = "Maximum"
        period  = 3600
        metrics = [for store in keys(local.usage_names) : ["QSync", "MonthToDateBytes", "Store", store]]
      },
      {
        title   = "Terabytes that were told of in a day, by store"
        region  = local.region
        stat    = "Sum"
        period  = local.day
        metrics = [for store in keys(local.usage_names) : ["QSync", "TerabytesCrossed", "Store", store]]
      },
    ],
    [
      for metric, title in var.node_alarms ? { qsync_snapshot_height = "Block height of the newest snapshot", qsync_thaw_pending = "Nodes that are stopped" } : {} : {
        title                                                        = title
        region                                                       = local.region
        stat                                                         = "Maximum"
        period                                                       = 300
        metrics                                                      = [for channel in keys(local.channels) : ["QSync", metric, "channel", channel]]
      }
    ],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      for index, graph in local.graphs : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = graph.title
          region  = graph.region
          stat    = graph.stat
          period  = graph.period
          metrics = graph.metrics
          view    = "timeSeries"
        }
      }
    ]
  })
}
