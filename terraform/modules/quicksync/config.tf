# The configuration of qsync that belongs to all this.

locals {
  url = merge(
    {
      raw = "s3://${local.raw}/${var.prefix}?region=${local.region}&requester_pays=true&owner=${local.account}"
      cdn = "s3://${local.cdn}/${var.prefix}?region=${local.region}&owner=${local.account}&cdn=https://${local.host}/${var.prefix}&distribution=${aws_cloudfront_distribution.this.id}"
    },
    { for bucket in slice(local.raw_buckets, 1, length(local.raw_buckets)) : "second" => "s3://${bucket.name}/${var.prefix}?region=${bucket.region}&requester_pays=true&owner=${local.account}" },
  )

  # The stores whose downloads are counted, and how CloudWatch finds them.
  usage_names = merge(
    { cdn = { distribution = aws_cloudfront_distribution.this.id } },
    { for index, bucket in local.raw_buckets : ["raw", "second"][index] => { bucket = bucket.name, region = bucket.region, filter_id = "all" } },
  )
}

module "config" {
  source = "./config"

  state_dir    = var.state_dir
  agent_listen = var.agent_listen
  stores       = local.url
  channels     = local.channels

  usage = var.usage ? {
    store     = local.url.cdn
    tb_bytes  = var.tb_bytes
    sources   = local.usage_names
    sns_topic = module.alarms.topic_arn
  } : null
}

# For machines that publish one network and should not know of the others. One machine alone counts downloads.
module "network_config" {
  source   = "./config"
  for_each = var.networks

  state_dir    = var.state_dir
  agent_listen = var.agent_listen
  stores       = local.url
  channels     = { for profile, settings in each.value.profiles : "${each.key}/${profile}" => settings }
}
