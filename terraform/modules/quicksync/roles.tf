# Who may write, and who may delete: never the same role.

locals {
  # Whatever a run of any network has to write.
  written = concat(local.immutable, ["gc/*", "index.json", "probe", "store.json", "usage/*"], var.public_pages)

  reading = [
    {
      Sid      = "Read"
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = [for store in local.store_arns : "${store}/*"]
    },
    {
      Sid      = "LearnWhatIsAbsent"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = values(local.bucket_arn)
    },
  ]

  publishing = {
    for chain in keys(var.networks) : chain => jsonencode({
      Version = "2012-10-17"
      Statement = concat(local.reading, [
        {
          Sid      = "Write"
          Effect   = "Allow"
          Action   = "s3:PutObject"
          Resource = flatten([for store in local.store_arns : [for object in concat(local.written, ["heads/${chain}/*"]) : "${store}/${object}"]])
        },
        {
          Sid      = "TellTheCdnOfNewHeads"
          Effect   = "Allow"
          Action   = "cloudfront:CreateInvalidation"
          Resource = aws_cloudfront_distribution.this.arn
        },
        {
          Sid       = "CountWhatWasDownloaded"
          Effect    = "Allow"
          Action    = "cloudwatch:PutMetricData"
          Resource  = "*"
          Condition = { StringEquals = { "cloudwatch:namespace" = "QSync" } }
        },
        {
          # CloudWatch has no narrower form of this right.
          Sid      = "AskWhatWasDownloaded"
          Effect   = "Allow"
          Action   = "cloudwatch:GetMetricData"
          Resource = "*"
        },
        {
          Sid      = "TellOfTerabytes"
          Effect   = "Allow"
          Action   = "sns:Publish"
          Resource = module.alarms.topic_arn
        },
        ],
        [
          for group in aws_cloudwatch_log_group.node : {
            Sid      = "TellOfTheNode"
            Effect   = "Allow"
            Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
            Resource = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${group.name}:*"
          }
      ])
    })
  }

  collecting = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.reading, [
      {
        # Heads and roots are not in it. Versions stay, so that all of it can be brought back for noncurrent_days.
        Sid      = "DeleteWhatNoSnapshotNeeds"
        Effect   = "Allow"
        Action   = "s3:DeleteObject"
        Resource = flatten([for store in local.store_arns : [for object in setsubtract(local.immutable, ["root/*"]) : "${store}/${object}"]])
      },
      {
        Sid      = "RememberWhatIsCondemned"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = [for store in local.store_arns : "${store}/gc/state.json"]
      },
    ])
  })
}

module "publisher" {
  source   = "./role"
  for_each = var.networks

  name        = "${var.name}-publisher-${each.key}"
  description = "Publishes ${each.key}: writes, and deletes nothing"
  policy      = local.publishing[each.key]
  takers      = each.value.publisher
  tags        = var.tags
}

module "gc" {
  source = "./role"
  count  = var.gc == null ? 0 : 1

  name        = "${var.name}-gc"
  description = "Deletes what no snapshot needs, and publishes nothing"
  policy      = local.collecting
  takers      = var.gc
  tags        = var.tags
}
