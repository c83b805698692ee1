output "topic_arn" {
  description = "ARN of the topic."
  value       = aws_sns_topic.this.arn
}

output "region" {
  description = "The region."
  value       = data.aws_region.this.name
}

output "alarm_actions" {
  description = "What each alarm that tells somebody reaches, by the alarm's name."
  value = merge(
    { for name, alarm in aws_cloudwatch_metric_alarm.this : name => tolist(alarm.alarm_actions) if !var.alarms[name].silent },
    { for name, alarm in aws_cloudwatch_composite_alarm.this : name => tolist(alarm.alarm_actions) },
  )
}
