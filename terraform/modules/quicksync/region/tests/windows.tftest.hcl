# CloudWatch looks back a week, and no further.

mock_provider "aws" {}

variables {
  name       = "example"
  account_id = "111122223333"
  notify     = []
}

run "longer_than_a_week" {
  command = plan
  variables {
    alarms = {
      month = { description = "x", namespace = "AWS/S3", metric = "BytesDownloaded", dimensions = {}, stat = "Sum", period_seconds = 604800, periods = 4, expression = "m", label = "x", threshold = 1 }
    }
  }
  expect_failures = [var.alarms]
}

run "a_week" {
  command = plan
  variables {
    alarms = {
      week = { description = "x", namespace = "AWS/S3", metric = "BytesDownloaded", dimensions = {}, stat = "Sum", period_seconds = 604800, expression = "m", label = "x", threshold = 1 }
    }
  }
}
