# A bucket as every store and log needs it: versions are kept, nothing is public by an ACL, and terraform never deletes it.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_145:S3 encrypts with its own key. With a KMS key readers of other accounts, and CloudFront, would need rights on the key.
  #checkov:skip=CKV_AWS_18:S3 access logs hold the addresses of clients. They are off unless raw_access_logs asks for them.
  #checkov:skip=CKV_AWS_144:The second region is a bucket of its own, written by publish. Replication would copy deletions and costs transfer.
  #checkov:skip=CKV2_AWS_6:It is there, below. Whether it blocks public policies is a variable, which the check does not follow; tests/plans.tftest.hcl does.
  #checkov:skip=CKV2_AWS_62:Nobody acts on single objects.
  bucket        = var.name
  force_destroy = false
  tags          = var.tags

  lifecycle {
    # A bucket with snapshots is not destroyed by a wrong word on the command line.
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.bucket

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  #checkov:skip=CKV_AWS_54:The bucket whose readers pay has a policy that lets every account read. All other buckets block such policies.
  #checkov:skip=CKV_AWS_56:For the same reason as CKV_AWS_54.
  bucket                  = aws_s3_bucket.this.bucket
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = !var.public_policy
  restrict_public_buckets = !var.public_policy
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.bucket

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300:The first rule does it, for all objects. The check takes an empty filter for one that leaves some out.
  bucket = aws_s3_bucket.this.bucket

  rule {
    id     = "uploads-that-were-cut-off"
    status = "Enabled"
    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  # No rule ends what is current in a store: only gc knows what snapshots need.
  rule {
    id     = "what-was-deleted-or-replaced"
    status = "Enabled"
    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    dynamic "expiration" {
      for_each = var.expire_days == null ? [true] : []

      content {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.expire_days == null ? [] : [var.expire_days]

    content {
      id     = "old-logs"
      status = "Enabled"
      filter {}

      expiration {
        days = rule.value
      }
    }
  }

  # Rules on versions need them.
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_request_payment_configuration" "this" {
  count  = var.requester_pays ? 1 : 0
  bucket = aws_s3_bucket.this.bucket
  payer  = "Requester"
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.bucket
  policy = var.policy

  # Never public before its readers pay.
  depends_on = [aws_s3_bucket_public_access_block.this, aws_s3_bucket_request_payment_configuration.this]
}

resource "aws_s3_bucket_metric" "this" {
  count  = var.request_metrics ? 1 : 0
  bucket = aws_s3_bucket.this.bucket
  name   = "all"
}

resource "aws_s3_bucket_logging" "this" {
  count         = var.log_bucket == null ? 0 : 1
  bucket        = aws_s3_bucket.this.bucket
  target_bucket = var.log_bucket
  target_prefix = "s3/${var.name}/"
}
