output "arn" {
  description = "ARN of the role."
  value       = aws_iam_role.this.arn
}

output "policy" {
  description = "What it may do, as JSON."
  value       = aws_iam_role_policy.this.policy
}

output "trust" {
  description = "Who may take it, as JSON."
  value       = aws_iam_role.this.assume_role_policy
}

output "instance_profile" {
  description = "Instance profile for machines of EC2, if they may take the role."
  value       = one(aws_iam_instance_profile.this[*].name)
}
