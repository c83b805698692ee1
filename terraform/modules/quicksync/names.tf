# Names that follow from the variables alone, so that policies can be read in a plan, and the lists on which they agree.

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_region" "this" {}

data "aws_region" "us_east_1" {
  provider = aws.us_east_1
}

data "aws_region" "second" {
  provider = aws.second
}

locals {
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  region    = data.aws_region.this.name

  raw    = coalesce(var.bucket_names.raw, "${var.name}-raw")
  cdn    = coalesce(var.bucket_names.cdn, "${var.name}-cdn")
  logs   = coalesce(var.bucket_names.logs, "${var.name}-logs")
  second = coalesce(var.bucket_names.second, "${var.name}-raw-second")

  # The buckets that hold stores.
  stores = concat([local.raw, local.cdn], var.second_region ? [local.second] : [])

  # Objects whose name says what is in them, or that are signed once and for all.
  immutable = ["chunks/*", "lists/*", "manifests/*", "raw/*", "root/*"]

  # What everybody may read. Not in it: gc, usage, probe, and whatever else comes to lie there.
  public = concat(local.immutable, ["heads/*", "index.json", "store.json"], var.public_pages)

  channels = merge([
    for chain, network in var.networks : { for profile, settings in network.profiles : "${chain}/${profile}" => settings }
  ]...)
}

locals {
  bucket_arn = { for bucket in local.stores : bucket => "arn:${local.partition}:s3:::${bucket}" }
  store_arn  = { for bucket in local.stores : bucket => "arn:${local.partition}:s3:::${bucket}/${var.prefix}" }

  store_arns = values(local.store_arn)
}
