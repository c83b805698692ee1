variable "name" {
  description = "Name of the topic; begins the names of the alarms."
  type        = string
}

variable "account_id" {
  description = "The account whose alarms may reach the topic."
  type        = string
}

variable "notify" {
  description = "Who is told: pairs of protocol and endpoint."
  type        = list(object({ protocol = string, endpoint = string }))
}

variable "alarms" {
  description = "Alarms by name. expression goes by the metric m. silent: it tells nobody, and counts only together with another."
  type = map(object({
    description    = string
    namespace      = string
    metric         = string
    dimensions     = map(string)
    stat           = string
    period_seconds = number
    expression     = string
    label          = string
    comparison     = optional(string, "GreaterThanOrEqualToThreshold")
    threshold      = number
    periods        = optional(number, 1)
    missing        = optional(string, "notBreaching")
    silent         = optional(bool, false)
  }))

  validation {
    # CloudWatch looks back a week, and with periods of less than an hour a day.
    condition     = alltrue([for alarm in values(var.alarms) : alarm.period_seconds * alarm.periods <= (alarm.period_seconds < 3600 ? 86400 : 604800)])
    error_message = "an alarm looks back further than CloudWatch does: expected at most 7 days, and 1 day with periods of less than an hour."
  }
}

variable "both" {
  description = "Alarms that are raised when all of the named ones are."
  type        = map(object({ description = string, alarms = list(string) }))
  default     = {}
}

variable "tags" {
  description = "Tags."
  type        = map(string)
  default     = {}
}
