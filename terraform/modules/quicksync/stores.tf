# The buckets that hold stores, and what their policies say.

locals {
  readers = length(var.reader_account_ids) == 0 ? ["*"] : [for id in var.reader_account_ids : "arn:${local.partition}:iam::${id}:root"]

  # Overwriting destroys as surely as deleting. This binds everybody, administrators too.
  overwrite_condition = merge({ "s3:if-none-match" = "true" }, var.repair_allowed ? { "s3:if-match" = "true" } : {})

  guards = {
    for bucket in local.stores : bucket => [
      {
        Sid       = "NobodyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.bucket_arn[bucket], "${local.bucket_arn[bucket]}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "NobodyOverwrites"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:PutObject"
        Resource  = [for object in local.immutable : "${local.store_arn[bucket]}/${object}"]
        Condition = { Null = local.overwrite_condition }
      },
    ]
  }

  raw_policy = {
    for bucket in setsubtract(local.stores, [local.cdn]) : bucket => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [
          {
            Sid       = "AccountsRead"
            Effect    = "Allow"
            Principal = { AWS = local.readers }
            Action    = "s3:GetObject"
            Resource  = [for object in local.public : "${local.store_arn[bucket]}/${object}"]
          },
          {
            # Only who may list is told that an object is absent, and not that it is denied.
            Sid       = "AccountsLearnWhatIsAbsent"
            Effect    = "Allow"
            Principal = { AWS = local.readers }
            Action    = "s3:ListBucket"
            Resource  = local.bucket_arn[bucket]
          },
          {
            # Requester pays refuses them already. This holds should somebody switch that off.
            Sid       = "NobodyAnonymous"
            Effect    = "Deny"
            Principal = "*"
            Action    = "s3:*"
            Resource  = [local.bucket_arn[bucket], "${local.bucket_arn[bucket]}/*"]
            Condition = { StringEquals = { "aws:PrincipalType" = "Anonymous" } }
          },
        ],
        local.guards[bucket],
      )
    })
  }

  cdn_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid       = "TheDistributionReads"
          Effect    = "Allow"
          Principal = { Service = "cloudfront.amazonaws.com" }
          Action    = "s3:GetObject"
          Resource  = [for object in local.public : "${local.store_arn[local.cdn]}/${object}"]
          Condition = { StringEquals = { "aws:SourceArn" = aws_cloudfront_distribution.this.arn } }
        },
        {
          # So that a missing object is a 404.
          Sid       = "TheDistributionLearnsWhatIsAbsent"
          Effect    = "Allow"
          Principal = { Service = "cloudfront.amazonaws.com" }
          Action    = "s3:ListBucket"
          Resource  = local.bucket_arn[local.cdn]
          Condition = { StringEquals = { "aws:SourceArn" = aws_cloudfront_distribution.this.arn } }
        },
      ],
      local.guards[local.cdn],
    )
  })
}

module "raw" {
  source = "./bucket"

  name            = local.raw
  policy          = local.raw_policy[local.raw]
  public_policy   = length(var.reader_account_ids) == 0
  requester_pays  = true
  request_metrics = true
  noncurrent_days = var.noncurrent_days
  log_bucket      = var.raw_access_logs ? module.logs.name : null
  tags            = var.tags
}

module "second" {
  source    = "./bucket"
  count     = var.second_region ? 1 : 0
  providers = { aws = aws.second }

  name            = local.second
  policy          = local.raw_policy[local.second]
  public_policy   = length(var.reader_account_ids) == 0
  requester_pays  = true
  request_metrics = true
  noncurrent_days = var.noncurrent_days
  tags            = var.tags
}

module "cdn" {
  source = "./bucket"

  name            = local.cdn
  policy          = local.cdn_policy
  noncurrent_days = var.noncurrent_days
  tags            = var.tags
}
