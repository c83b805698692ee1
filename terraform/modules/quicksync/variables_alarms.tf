# Who is told of what.

variable "notify" {
  description = "Who is told, in each region: pairs of protocol (email, https, sqs) and endpoint. A person has to confirm each email and https endpoint once per region."
  type        = list(object({ protocol = string, endpoint = string }))
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for one in var.notify : contains(["email", "https", "sqs"], one.protocol)])
    error_message = "notify has a protocol that is not email, https or sqs."
  }
  validation {
    condition     = length(distinct(var.notify)) == length(var.notify)
    error_message = "notify names somebody twice."
  }
}

variable "tb_bytes" {
  description = "What a terabyte is. AWS counts 2^40."
  type        = number
  default     = 1099511627776

  validation {
    condition     = var.tb_bytes >= 1000000000 && floor(var.tb_bytes) == var.tb_bytes
    error_message = "tb_bytes is ${var.tb_bytes}: expected a whole number of at least 10^9."
  }
}

variable "tb_steps" {
  description = "Terabytes in a day, and in a week, at which alarms are raised, for the CDN and each bucket whose readers pay; and in a month, of what is billed for the CDN. qsync usage tick tells of every single terabyte."
  type        = list(number)
  default     = [1, 5, 20]
  nullable    = false

  validation {
    condition     = length(var.tb_steps) >= 1 && length(var.tb_steps) <= 5 && alltrue([for step in var.tb_steps : step > 0]) && length(distinct(var.tb_steps)) == length(var.tb_steps)
    error_message = "tb_steps is no list of steps: expected 1 to 5 different numbers above 0 (a budget of AWS tells of at most 5)."
  }
}

variable "availability_objective" {
  description = "Part of the CDN's answers, in percent, that must not be errors of the server. The alarm on the rate of burning goes by what it leaves."
  type        = number
  default     = 99

  validation {
    condition     = var.availability_objective >= 95 && var.availability_objective < 100
    error_message = "availability_objective is ${var.availability_objective}: expected at least 95, and less than 100."
  }
}

variable "budget_usd" {
  description = "US dollars a month of the whole account at which, and at the forecast of which, somebody is told. null: no such budget."
  type        = number
  default     = null

  validation {
    condition     = var.budget_usd == null || try(var.budget_usd > 0, false)
    error_message = "budget_usd is not above 0."
  }
}

variable "usage" {
  description = "Whether the configuration has the table usage, for qsync usage tick."
  type        = bool
  default     = true
  nullable    = false
}

variable "usage_alarm" {
  description = "Whether an alarm tells when qsync usage tick has been silent for six hours. Switch it on once it runs."
  type        = bool
  default     = false
  nullable    = false
}

variable "node_alarms" {
  description = "Whether there are alarms on what qsync agent says of nodes and snapshots. They need a CloudWatch agent beside it that reads /metrics: docs/terraform.md. Without that data the alarm on stale snapshots is raised at once."
  type        = bool
  default     = false
  nullable    = false
}

variable "stale_after_hours" {
  description = "Hours after the last publish that ended well at which its channel is stale."
  type        = number
  default     = 48

  validation {
    condition     = var.stale_after_hours >= 1 && var.stale_after_hours <= 720
    error_message = "stale_after_hours is ${var.stale_after_hours}: expected 1 to 720."
  }
}
