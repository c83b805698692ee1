# What is refused before anything is made.

mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

mock_provider "aws" {
  alias = "us_east_1"

  mock_data "aws_region" {
    defaults = { name = "us-east-1" }
  }
}

mock_provider "aws" {
  alias = "second"

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  name = "example"
  networks = {
    kusama = {
      profiles  = { rocksdb-pruned = {} }
      publisher = { ec2 = true }
    }
  }
}

run "a_name_that_no_bucket_can_have" {
  command = plan
  variables {
    name = "Example_Snapshots"
  }
  expect_failures = [var.name]
}

run "no_network" {
  command = plan
  variables {
    networks = {}
  }
  expect_failures = [var.networks]
}

run "a_network_that_is_no_chain" {
  command = plan
  variables {
    networks = {
      "Kusama*" = { profiles = { rocksdb-pruned = {} }, publisher = { ec2 = true } }
    }
  }
  expect_failures = [var.networks]
}

run "a_gc_role_that_nobody_may_take" {
  command = plan
  variables {
    gc = {}
  }
  expect_failures = [var.gc]
}

run "a_prefix_that_matches_more" {
  command = plan
  variables {
    prefix = "v1/*"
  }
  expect_failures = [var.prefix]
}

run "a_page_in_a_folder" {
  command = plan
  variables {
    public_pages = ["gc/state.json"]
  }
  expect_failures = [var.public_pages]
}

run "a_page_that_matches_more" {
  command = plan
  variables {
    public_pages = ["*"]
  }
  expect_failures = [var.public_pages]
}

run "an_account_that_is_none" {
  command = plan
  variables {
    reader_account_ids = ["*"]
  }
  expect_failures = [var.reader_account_ids]
}

run "too_short_a_time_to_notice" {
  command = plan
  variables {
    noncurrent_days = 1
  }
  expect_failures = [var.noncurrent_days]
}

run "a_price_class_that_is_none" {
  command = plan
  variables {
    price_class = "PriceClass_300"
  }
  expect_failures = [var.price_class]
}

run "a_domain_without_a_certificate" {
  command = plan
  variables {
    domain = { name = "cdn.example.org" }
  }
  expect_failures = [var.domain]
}

run "a_certificate_of_another_region" {
  command = plan
  variables {
    domain = { name = "cdn.example.org", certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef" }
  }
  expect_failures = [var.domain]
}

run "steps_that_a_budget_cannot_hold" {
  command = plan
  variables {
    tb_steps = [1, 2, 3, 4, 5, 6]
  }
  expect_failures = [var.tb_steps]
}

run "a_second_region_that_is_the_first" {
  command = plan
  variables {
    second_region = true
  }
  expect_failures = [aws_cloudfront_distribution.this]
}
