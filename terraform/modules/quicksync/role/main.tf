# A role, and who may take it. There are no users and no keys.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 6"
    }
  }
}

locals {
  ec2 = [for yes in var.takers.ec2 ? [true] : [] : {
    Sid       = "Machines"
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { Service = "ec2.amazonaws.com" }
  }]

  oidc = [for index, one in var.takers.oidc : {
    Sid       = "Oidc${index}"
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = one.provider_arn }
    Condition = {
      # A subject may end with *, as in repo:example/snapshots:*.
      StringLike   = { "${split("oidc-provider/", one.provider_arn)[1]}:sub" = one.subjects }
      StringEquals = { "${split("oidc-provider/", one.provider_arn)[1]}:aud" = one.audience }
    }
  }]

  principals = [for list in length(var.takers.principals) > 0 ? [var.takers.principals] : [] : {
    Sid       = "Principals"
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = list }
  }]

  roles_anywhere = [for index, one in var.takers.roles_anywhere : {
    Sid       = "Certificate${index}"
    Effect    = "Allow"
    Action    = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
    Principal = { Service = "rolesanywhere.amazonaws.com" }
    Condition = {
      ArnEquals    = { "aws:SourceArn" = one.trust_anchor_arn }
      StringEquals = { "aws:PrincipalTag/x509Subject/CN" = one.common_name }
    }
  }]

  # Lists of objects of different shapes: concat would ask for one.
  trust = flatten([jsondecode(jsonencode(local.ec2)), jsondecode(jsonencode(local.oidc)), jsondecode(jsonencode(local.principals)), jsondecode(jsonencode(local.roles_anywhere))])
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = var.description
  max_session_duration = 43200
  assume_role_policy   = jsonencode({ Version = "2012-10-17", Statement = local.trust })
  tags                 = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "qsync"
  role   = aws_iam_role.this.name
  policy = var.policy
}

resource "aws_iam_instance_profile" "this" {
  count = var.takers.ec2 ? 1 : 0
  name  = var.name
  role  = aws_iam_role.this.name
  tags  = var.tags
}
