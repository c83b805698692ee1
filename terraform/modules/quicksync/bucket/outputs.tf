output "name" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "regional_domain_name" {
  description = "Name of its host in its own region."
  value       = aws_s3_bucket.this.bucket_regional_domain_name
}

output "policy" {
  description = "Its policy, as JSON."
  value       = aws_s3_bucket_policy.this.policy
}

output "payer" {
  description = "Who pays for requests."
  value       = one(aws_s3_bucket_request_payment_configuration.this[*].payer)
}

output "public_policy_blocked" {
  description = "Whether a policy that lets every account in is refused."
  value       = aws_s3_bucket_public_access_block.this.block_public_policy && aws_s3_bucket_public_access_block.this.restrict_public_buckets
}
