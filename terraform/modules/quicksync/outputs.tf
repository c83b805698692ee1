output "qsync_toml" {
  description = "The configuration of qsync: terraform output -raw qsync_toml > qsync.toml, then qsync --config qsync.toml config check."
  value       = module.config.qsync_toml
}

output "qsync_toml_by_network" {
  description = "The same for machines that publish one network, by network, without the table usage: one machine alone counts downloads."
  value       = { for chain, config in module.network_config : chain => config.qsync_toml }
}

output "store_urls" {
  description = "URLs of the stores for --to, by name."
  value       = local.url
}

output "public_url" {
  description = "Where everybody reads without an account, for --from."
  value       = "https://${local.host}/${var.prefix}"
}

output "distribution_id" {
  description = "The CloudFront distribution."
  value       = aws_cloudfront_distribution.this.id
}

output "distribution_domain_name" {
  description = "Its own name, for records in a zone that is not in Route 53."
  value       = aws_cloudfront_distribution.this.domain_name
}

output "buckets" {
  description = "Names of the buckets: raw, cdn, logs, and second where there is one."
  value       = merge({ raw = module.raw.name, cdn = module.cdn.name, logs = module.logs.name }, { for one in module.second : "second" => one.name })
}

output "publisher_role_arns" {
  description = "The role that publishes, by network."
  value       = { for chain, role in module.publisher : chain => role.arn }
}

output "publisher_instance_profiles" {
  description = "The instance profile for machines that publish, by network, where ec2 may take the role."
  value       = { for chain, role in module.publisher : chain => role.instance_profile if role.instance_profile != null }
}

output "gc_role_arn" {
  description = "The role that deletes, if there is one."
  value       = one(module.gc[*].arn)
}

output "topic_arns" {
  description = "The topics that alarms reach, by region."
  value = merge(
    { (module.alarms_us_east_1.region) = module.alarms_us_east_1.topic_arn },
    { (module.alarms.region) = module.alarms.topic_arn },
    { for one in module.alarms_second : one.region => one.topic_arn },
  )
}

output "dashboard" {
  description = "Name of the dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
