# A bucket for logs, kept for a while and no longer, and what is written into it.

locals {
  logs_arn = "arn:${local.partition}:s3:::${local.logs}"

  # Left out on purpose: c-ip, c-port, x-forwarded-for, c-country and asn say who asked; cs(User-Agent), cs(Referer), cs(Cookie) and
  # cs-uri-query may; x-edge-request-id finds a request again in somebody else's log.
  logged = [
    "date", "time", "x-edge-location", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status", "sc-bytes", "sc-content-len", "sc-range-start", "sc-range-end",
    "x-edge-result-type", "x-edge-detailed-result-type", "cs-protocol", "cs-protocol-version", "time-taken", "time-to-first-byte",
  ]

  logs_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "NobodyWithoutTls"
          Effect    = "Deny"
          Principal = "*"
          Action    = "s3:*"
          Resource  = [local.logs_arn, "${local.logs_arn}/*"]
          Condition = { Bool = { "aws:SecureTransport" = "false" } }
        },
        {
          Sid       = "TheCdnLogs"
          Effect    = "Allow"
          Principal = { Service = "delivery.logs.amazonaws.com" }
          Action    = "s3:PutObject"
          Resource  = ["${local.logs_arn}/AWSLogs/${local.account}/CloudFront/*"]
          Condition = {
            StringEquals = { "aws:SourceAccount" = local.account, "s3:x-amz-acl" = "bucket-owner-full-control" }
            ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:logs:us-east-1:${local.account}:delivery-source:${var.name}*" }
          }
        },
      ],
      [
        for yes in var.raw_access_logs ? [true] : [] : {
          Sid       = "S3Logs"
          Effect    = "Allow"
          Principal = { Service = "logging.s3.amazonaws.com" }
          Action    = "s3:PutObject"
          Resource  = ["${local.logs_arn}/s3/*"]
          Condition = {
            StringEquals = { "aws:SourceAccount" = local.account }
            ArnLike      = { "aws:SourceArn" = local.bucket_arn[local.raw] }
          }
        }
      ],
    )
  })
}

# A bucket whose readers pay cannot hold logs.
module "logs" {
  source = "./bucket"

  name            = local.logs
  policy          = local.logs_policy
  noncurrent_days = 7
  expire_days     = var.log_retention_days
  tags            = var.tags
}

resource "aws_cloudwatch_log_delivery_source" "cdn" {
  count        = var.cdn_access_logs ? 1 : 0
  provider     = aws.us_east_1
  name         = var.name
  log_type     = "ACCESS_LOGS"
  resource_arn = aws_cloudfront_distribution.this.arn
  tags         = var.tags
}

resource "aws_cloudwatch_log_delivery_destination" "cdn" {
  count         = var.cdn_access_logs ? 1 : 0
  provider      = aws.us_east_1
  name          = var.name
  output_format = "w3c"
  tags          = var.tags

  delivery_destination_configuration {
    destination_resource_arn = local.logs_arn
  }

  # AWS asks the bucket whether it may write.
  depends_on = [module.logs]
}

resource "aws_cloudwatch_log_delivery" "cdn" {
  count                    = var.cdn_access_logs ? 1 : 0
  provider                 = aws.us_east_1
  delivery_source_name     = aws_cloudwatch_log_delivery_source.cdn[0].name
  delivery_destination_arn = aws_cloudwatch_log_delivery_destination.cdn[0].arn
  record_fields            = local.logged
  tags                     = var.tags
}

# What the CloudWatch agent beside qsync agent writes; CloudWatch takes the metrics out of it.
resource "aws_cloudwatch_log_group" "node" {
  #checkov:skip=CKV_AWS_158:It holds block heights and times.
  #checkov:skip=CKV_AWS_338:Numbers of nodes are kept as long as other logs; the metrics made of them last 15 months.
  count             = var.node_alarms ? 1 : 0
  name              = "/qsync/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}
