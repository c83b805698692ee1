//go:build tools

// Package geth pins the release of geth that the tests run.
package geth

import _ "github.com/ethereum/go-ethereum/cmd/geth"
