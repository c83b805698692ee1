# Who may not be named as taker of a role.

mock_provider "aws" {}

variables {
  name        = "example"
  description = "Publishes"
  policy      = "{}"
}

run "nobody" {
  command = plan
  variables {
    takers = {}
  }
  expect_failures = [var.takers]
}

run "everybody" {
  command = plan
  variables {
    takers = { principals = ["*"] }
  }
  expect_failures = [var.takers]
}

run "a_whole_account" {
  command = plan
  variables {
    takers = { principals = ["arn:aws:iam::111122223333:root"] }
  }
  expect_failures = [var.takers]
}

run "all_roles_of_an_account" {
  command = plan
  variables {
    takers = { principals = ["arn:aws:iam::111122223333:role/*"] }
  }
  expect_failures = [var.takers]
}

run "whoever_the_oidc_provider_knows" {
  command = plan
  variables {
    takers = { oidc = [{ provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.example.org", subjects = ["*"] }] }
  }
  expect_failures = [var.takers]
}

run "no_subject" {
  command = plan
  variables {
    takers = { oidc = [{ provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.example.org", subjects = [] }] }
  }
  expect_failures = [var.takers]
}

run "a_name_that_is_too_long" {
  command = plan
  variables {
    name   = "example-publisher-0123456789012345678901234567890123456789012345678"
    takers = { ec2 = true }
  }
  expect_failures = [var.name]
}

run "all_four_kinds" {
  command = plan
  variables {
    takers = {
      ec2            = true
      oidc           = [{ provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.example.org", subjects = ["repo:example/snapshots:*"] }]
      principals     = ["arn:aws:iam::111122223333:role/node"]
      roles_anywhere = [{ trust_anchor_arn = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/1", common_name = "node-1" }]
    }
  }

  assert {
    condition     = [for statement in jsondecode(output.trust).Statement : statement.Sid] == ["Machines", "Oidc0", "Principals", "Certificate0"]
    error_message = "Somebody cannot take the role: ${output.trust}"
  }
  assert {
    condition     = jsondecode(output.trust).Statement[1].Condition.StringLike["token.example.org:sub"] == ["repo:example/snapshots:*"]
    error_message = "Another subject than was named may take the role: ${output.trust}"
  }
}
